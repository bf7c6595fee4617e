#!/usr/bin/env python3
# SPDX-License-Identifier: AGPL-3.0-only
"""Turns the JSON Schemas of the bus into C++: structs, validating decoders, encoders.

    generate.py OUTPUT_DIR SCHEMA...     writes OUTPUT_DIR/messages.hpp and OUTPUT_DIR/messages.cpp

It reads a subset of draft-07 on purpose: whatever it does not know is an error at build time, so a schema never says
more than the decoder checks. Patterns are one literal prefix and one character class with a count, so that a decoder's
time stays linear in its input.
"""
import json
import pathlib
import re
import sys

KNOWN = {"$schema", "$id", "title", "description", "type", "required", "properties", "items", "enum", "const", "format",
         "pattern", "minLength", "maxLength", "minimum", "maximum", "minItems", "maxItems", "additionalProperties"}
KEYWORDS = {"delete", "default", "new", "class", "namespace", "operator", "register", "export", "private", "public"}
PATTERN = re.compile(r"\^((?:[A-Za-z0-9_/-]|\\.)*)\[([^\]\\]+)\]\{(\d+)(?:,(\d+))?\}\$")


def ident(name):
    name = re.sub(r"\W", "_", name)
    return name + "_" if name in KEYWORDS else name


def quoted(text):
    return json.dumps(text, ensure_ascii=True)


def char_class(text):
    """The 256-bit set of a class like `a-z0-9_.`, as four 64-bit words."""
    bits, i = 0, 0
    while i < len(text):
        last = text[i + 2] if i + 2 < len(text) and text[i + 1] == "-" else text[i]
        for code in range(ord(text[i]), ord(last) + 1):
            bits |= 1 << code
        i += 3 if last != text[i] else 1
    return ", ".join(f"{(bits >> (64 * word)) & (2**64 - 1):#x}U" for word in range(4))


def inside(code):
    """The same call within a lambda over items, where the outer names would be shadowed."""
    for outer, inner in (("value", "item"), ("at", "place"), ("w", "to"), ("@", "item")):
        code = re.sub(rf"\b{outer}\b" if outer != "@" else outer, inner, code)
    return code


class Shape:
    """What one schema is in C++: `type` is how a member is spelled, `read` the call that makes it from `value`,
    `write` the statement that writes it, with @ for the value."""

    def __init__(self, kind, type_, read, write):
        self.kind, self.type, self.read, self.write = kind, type_, read, write


class Generator:
    def __init__(self):
        self.header, self.source = [], []

    def shape(self, schema, owner, name, where):
        """owner: C++ name of the enclosing struct; name: of the type to declare, if one must be declared.
        Appends declarations of nested types to `self.nested`."""
        if unknown := set(schema) - KNOWN:
            raise SystemExit(f"{where}: generate.py does not know {sorted(unknown)}")
        if "const" in schema:
            return Shape("const", None, f"read_const(value, at, {quoted(schema['const'])})", quoted(schema["const"]))
        if "enum" in schema:
            return self.enum(schema, owner, name)
        match schema.get("type"):
            case None:
                return Shape("raw", "raw_json", "read_any(value)", "w.raw(@)")
            case "string":
                return self.string(schema, where)
            case "integer":
                low, high = schema["minimum"], schema["maximum"]
                unsigned = low >= 0
                type_ = "std::uint64_t" if unsigned else "std::int64_t"
                suffix = "U" if unsigned else "LL"
                call = "read_unsigned" if unsigned else "read_signed"
                return Shape("integer", type_, f"{call}(value, at, {low}{suffix}, {high}{suffix})", "w.number(@)")
            case "boolean":
                return Shape("boolean", "bool", "read_boolean(value, at)", "w.boolean(@)")
            case "array":
                return self.array(schema, owner, name, where)
            case "object":
                return self.object(schema, owner, name, where)
        raise SystemExit(f"{where}: generate.py does not know type {schema['type']!r}")

    def string(self, schema, where):
        if schema.get("format") == "date-time":
            return Shape("string", "std::string", "read_date_time(value, at)", "w.text(@)")
        if "format" in schema:
            raise SystemExit(f"{where}: generate.py does not know format {schema['format']!r}")
        if "pattern" in schema:
            match = PATTERN.fullmatch(schema["pattern"])
            if not match:
                raise SystemExit(f"{where}: pattern {schema['pattern']!r} is not prefix[class]{{m,n}}")
            prefix = re.sub(r"\\(.)", r"\1", match[1])
            low, high = match[3], match[4] or match[3]
            call = f"read_pattern(value, at, {{{quoted(prefix)}, {{{char_class(match[2])}}}, {low}U, {high}U}})"
        else:
            call = f"read_text(value, at, {schema.get('minLength', 0)}U, {schema['maxLength']}U)"
        return Shape("string", "std::string", call, "w.text(@)")

    def enum(self, schema, owner, name):
        full = f"{owner}::{name}"
        self.nested.append(f"enum class {name} : std::uint8_t {{ {', '.join(ident(v) for v in schema['enum'])} }};")
        self.declarations.append(f"[[nodiscard]] std::string_view to_string({full} value) noexcept;")
        names = ", ".join(quoted(v) for v in schema["enum"])
        self.source += [
            "namespace {", f"constexpr std::array<std::string_view, {len(schema['enum'])}> {owner.replace('::', '_')}_{name}_names{{{names}}};", "}",
            f"std::string_view to_string({full} value) noexcept {{",
            f"  return {owner.replace('::', '_')}_{name}_names[static_cast<std::size_t>(value)];", "}"]
        table = f"{owner.replace('::', '_')}_{name}_names"
        return Shape("enum", full, f"read_enum<{full}>(value, at, {table})", "w.text(to_string(@))")

    def array(self, schema, owner, name, where):
        item = self.shape(schema["items"], owner, name.replace("_value", "_item"), where + "[]")
        type_ = f"std::vector<{item.type}>"
        low, high = schema.get("minItems", 0), schema["maxItems"]
        read = (f"read_array<{item.type}>(value, at, {low}U, {high}U, "
                f"[](element item, const path& place) -> result<{item.type}> {{ return {inside(item.read)}; }})")
        write = "w.array(@, [](writer& to, const auto& item) { " + inside(item.write) + "; })"
        return Shape("array", type_, read, write)

    def object(self, schema, owner, name, where):
        extra = schema.get("additionalProperties")
        if "properties" not in schema and extra is None:
            return Shape("raw", "raw_json", "read_object_text(value, at)", "w.raw(@)")
        if "properties" not in schema:
            inner = self.shape(extra, owner, name, where + ".*")
            read = (f"read_map<{inner.type}>(value, at, "
                    f"[](element item, const path& place) -> result<{inner.type}> {{ return {inside(inner.read)}; }})")
            write = "w.map(@, [](writer& to, const auto& item) { " + inside(inner.write) + "; })"
            return Shape("map", f"std::map<std::string, {inner.type}>", read, write)
        self.nested += self.struct(schema, f"{owner}::{name}", where)
        slug = f"{owner}::{name}".replace("::", "_")
        return Shape("struct", f"{owner}::{name}", f"read_{slug}(value, at)", f"write_{slug}(w, @)")

    def struct(self, schema, full, where):
        """Lines that declare the struct; its reader and writer go to self.source."""
        outer, self.nested = getattr(self, "nested", []), []
        required, members, reads, writes, checks = schema.get("required", []), [], [], [], []
        for bit, (key, prop) in enumerate(schema["properties"].items()):
            shape = self.shape(prop, full, f"{ident(key)}_value", f"{where}.{key}")
            local = shape.type.replace(full + "::", "") if shape.type else None
            must, member = key in required, ident(key)
            reads += [f"    if (field.key == {quoted(key)}) {{",
                      f"      if (const auto once = first_time(seen, {bit}U, at); !once)",
                      "        return tl::unexpected(once.error());",
                      f"      auto read = {shape.read};", "      if (!read)",
                      "        return tl::unexpected(std::move(read).error());"]
            if shape.type:
                reads.append(f"      out.{member} = *std::move(read);")
                type_ = local if must else f"std::optional<{local}>"
                members.append(f"  {type_} {member}{{}}; ///< {prop.get('description', '')}")
            reads += ["      continue;", "    }"]
            if must:
                checks.append(f"  if (const auto there = require(seen, {bit}U, {quoted(key)}, parent); !there)\n"
                              "    return tl::unexpected(there.error());")
            if not shape.type:
                writes.append(f"  w.key({quoted(key)});\n  w.text({shape.write});")
            elif must:
                writes.append(f"  w.key({quoted(key)});\n  {shape.write.replace('@', 'v.' + member)};")
            else:
                writes.append(f"  if (v.{member}) {{\n    w.key({quoted(key)});\n    {shape.write.replace('@', '*v.' + member)};\n  }}")
        nested, self.nested = self.nested, outer
        name, slug = full.split("::")[-1], full.replace("::", "_")
        self.source += [
            "namespace {",
            f"result<{full}> read_{slug}(element root, const path& parent) {{",
            "  simdjson::dom::object object;", "  if (root.get(object) != simdjson::SUCCESS)",
            "    return tl::unexpected(bad(parent, \"must be an object\"));",
            f"  {full} out;", "  std::uint64_t seen = 0;", "  for (const auto field : object) {",
            "    const element value = field.value;", "    const path at{&parent, field.key};", *reads, "  }", *checks,
            "  return out;", "}", "",
            f"void write_{slug}(writer& w, const {full}& v) {{", "  w.open('{');", *writes, "  w.close('}');", "}", "}", ""]
        event = [f"  static constexpr std::string_view event_type = {quoted(self.event)};", ""] if "::" not in full and self.event else []
        comment = [f"/// {schema['description']}"] if "description" in schema else []
        return [*comment, f"struct {name} {{", *event, *("  " + line for line in nested), *members, "",
                f"  bool operator==(const {name}&) const = default;", "};"]

    def message(self, path):
        schema = json.loads(path.read_text(encoding="utf-8"))
        name, where = schema["title"], path.name
        base = path.name.removesuffix(".schema.json")
        self.event = f"io.marchproxy.{base}" if path.parent.name == "events" else ""
        self.declarations, self.nested = [], []
        self.header += self.struct(schema, name, where)
        self.header += [
            *self.declarations,
            f"template <>\n[[nodiscard]] result<{name}> decode<{name}>(std::string_view json);",
            f"[[nodiscard]] std::string encode(const {name}& value);"]
        self.source += [
            f"template <>\nresult<{name}> decode<{name}>(std::string_view json) {{",
            f"  return parse_with<{name}>(json, [](element root) {{ return read_{name}(root, path{{}}); }});", "}",
            f"std::string encode(const {name}& value) {{", "  writer w;", f"  write_{name}(w, value);", "  return w.take();", "}"]
        if self.event:
            self.header.append(f"template <>\n[[nodiscard]] result<event<{name}>> decode_event<{name}>(std::string_view json);")
            self.source += [
                f"template <>\nresult<event<{name}>> decode_event<{name}>(std::string_view json) {{",
                f"  return parse_with<event<{name}>>(json, [](element root) {{",
                f"    return read_event<{name}>(root, read_envelope, read_{name});", "  });", "}"]
        self.header.append("")
        return name


HEADER = """// SPDX-License-Identifier: AGPL-3.0-only
// Generated by bus-schemas/generate.py from the JSON Schemas; do not edit.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "actors/base/error.hpp"
#include "bus-schemas/cpp/event.hpp"

namespace marchproxy::bus_schemas {
"""

SOURCE = """// SPDX-License-Identifier: AGPL-3.0-only
// Generated by bus-schemas/generate.py from the JSON Schemas; do not edit.
#include "bus-schemas/messages.hpp"

#include <array>
#include <utility>

#include "bus-schemas/cpp/reader.hpp"
#include "bus-schemas/cpp/writer.hpp"

namespace marchproxy::bus_schemas {
using namespace detail;
"""


def main():
    out = pathlib.Path(sys.argv[1])
    paths = sorted((pathlib.Path(p) for p in sys.argv[2:]), key=lambda p: (p.parent.name == "events", p.name))
    generator = Generator()
    names = []
    for path in paths:
        names.append((generator.message(path), generator.event))
        if not generator.event:
            generator.header += ["template <class Data>", "struct event {", "  envelope head; ///< its data is empty",
                                 "  Data data;", "", "  bool operator==(const event&) const = default;", "};", "",
                                 "/// @p head with the type of @p data, and @p data.",
                                 "template <class Data>",
                                 "[[nodiscard]] std::string encode_event(envelope head, const Data& data) {",
                                 "  head.type = Data::event_type;", "  head.data.text = encode(data);",
                                 "  return encode(head);", "}", ""]
    visit = ["/// Calls @p visitor with std::type_identity<Message> for the message that @p type names; false if none is.",
             "template <class Visitor>", "bool visit_type(std::string_view type, Visitor&& visitor) {"]
    for name, event in names:
        if event:
            visit += [f"  if (type == {name}::event_type) {{", f"    visitor(std::type_identity<{name}>{{}});",
                      "    return true;", "  }"]
    visit += ["  return false;", "}"]
    end = ["", "} // namespace marchproxy::bus_schemas", ""]
    out.mkdir(parents=True, exist_ok=True)
    (out / "messages.hpp").write_text(HEADER + "\n" + "\n".join([*generator.header, *visit, *end]), encoding="utf-8")
    (out / "messages.cpp").write_text(SOURCE + "\n" + "\n".join([*generator.source, *end]), encoding="utf-8")


if __name__ == "__main__":
    main()

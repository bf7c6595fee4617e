# SPDX-License-Identifier: AGPL-3.0-only
"""Tables in Markdown from the records of measurements."""

import statistics

from workloads import W


def med(x):
    x = [v for v in x if v is not None]
    return statistics.median(x) if x else None


def fmt(v, d=2):
    return "-" if v is None else f"{v:.{d}f}" if abs(v) < 100 else f"{v:.0f}"


def by_peer(recs, w):
    """peer -> round -> record, of the runs that did something"""
    by = {}
    for r in recs:
        if r["workload"] == w and "failed" not in r and r["ops"] > 0:
            by.setdefault(r["peer"], {})[r["round"]] = r
    return by


def paired(by, p, q, value):
    """Median of the same-round ratios of p to q."""
    return med([value(by[p][k]) / value(by[q][k]) for k in by[p] if k in by.get(q, {}) and value(by[q][k])])


def row(cells):
    return "| " + " | ".join(cells) + " |"


def memory_table(by, ref):
    base = by[ref][0]["kib_per_conn"]
    yield row(["peer", "conns", "errors", "KiB/conn", "x ref", "PSS before MB", "idle CPU us/s"])
    yield "|---" * 7 + "|"
    for p in sorted(by, key=lambda p: by[p][0]["kib_per_conn"]):
        r = by[p][0]
        yield row([p, str(r["ops"]), str(r["errors"]), f"{r['kib_per_conn']:.2f}",
                   fmt(r["kib_per_conn"] / base if base else None), f"{r['pss_before_kb'] / 1024:.1f}",
                   f"{r['idle_cpu_us_per_s']:.0f}"])


def path_total(r):
    return r["cpu_path"] + r["cpu_kthr"]


def cpu_row(by, ref, p):
    """Two estimators: median of paired per-round ratios, and best of the rounds, since neighbours only ever add CPU."""
    v = list(by[p].values())

    def best(q, k):
        return min(r[k] for r in by[q].values())

    def low(k):
        return min((r[k] for r in v if r.get(k) is not None), default=None)

    def both(k):
        return f"{fmt(med([r.get(k) for r in v]))} / {fmt(best(p, k))}"

    def against(k):
        return f"{fmt(paired(by, p, ref, lambda r: r[k]))} / {fmt(best(p, k) / best(ref, k))}"

    process = best(p, "cpu_proxy") > 0
    added = "- / -"
    if "direct" in by and p != "direct":
        direct = by["direct"]
        more = med([path_total(by[p][k]) - path_total(direct[k]) for k in by[p] if k in direct])
        lows = [min(path_total(r) for r in by[q].values()) for q in (p, "direct")]
        added = f"{fmt(more)} / {fmt(lows[0] - lows[1])}"
    return row([p, both("cpu_proxy") if process else "-",
                against("cpu_proxy") if process and best(ref, "cpu_proxy") > 0 else "-",
                f"{med([r['sys_share'] for r in v]) * 100:.0f}", both("cpu_path"), against("cpu_path"), added,
                fmt(max(r["rate"] for r in v), 0), fmt(low("p50"), 0), fmt(low("p99"), 0), fmt(low("p999"), 0),
                str(sum(r["errors"] for r in v))])


def cpu_table(by, ref):
    yield row(["peer", "proxy CPU us/unit: median / best", "x ref: paired / best", "sys%",
               "path CPU us/unit: median / best", "x ref: paired / best", "added over direct us: median / best",
               "rate/s (best)", "p50 us (best)", "p99 us (best)", "p99.9 us (best)", "errors"])
    yield "|---" * 12 + "|"
    for p in sorted(by, key=lambda p: min(path_total(r) for r in by[p].values())):
        yield cpu_row(by, ref, p)


def table(w, recs, ref=None):
    spec, by = W[w], by_peer(recs, w)
    if not by:
        return f"### {w}: no results\n"
    wanted = [ref, spec["ref"], *(p for p in by if p not in ("direct", "route")), *by]
    ref = next(p for p in wanted if p in by)
    rounds = max(len(v) for v in by.values())
    lines = [f"### {w} - {spec['what']} (ref: {ref}; unit: {spec['unit']}; rounds: {rounds})"]
    lines += memory_table(by, ref) if spec.get("mem") else cpu_table(by, ref)
    for r in recs:
        if r["workload"] == w and "failed" in r and r["round"] == 0:
            lines.append(f"\n{r['peer']} failed: {r['failed'][:120]}")
    if "rules" in spec:
        one = {p: next(iter(by[p].values())) for p in by}
        lines.append("\nstart to ready / PSS with this list: " + ", ".join(
            f"{p} {r['start_s']}s/{r['rss0_kb'] / 1024:.0f}MB" for p, r in one.items()))
    return "\n".join(lines) + "\n"

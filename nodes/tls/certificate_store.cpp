// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/tls/certificate_store.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <set>

// OpenSSL's macros cast the C way.
#pragma GCC diagnostic ignored "-Wold-style-cast"

namespace marchproxy::tls {

namespace {

namespace fs = std::filesystem;

/// The names of the pairs, each of which has at least its .crt.
std::set<std::string> pairs_in(const fs::path& directory) {
  std::set<std::string> out;
  std::error_code none;
  for (fs::directory_iterator at{directory, none}, end; !none && at != end; at.increment(none))
    if (at->path().extension() == ".crt")
      out.insert(at->path().stem().string());
  return out;
}

/// Changes when the file does.
std::string state_of(const fs::path& file) {
  struct stat is {};
  if (stat(file.c_str(), &is) != 0)
    return file.string() + " -\n";
  return file.string() + ' ' + std::to_string(is.st_ino) + ' ' + std::to_string(is.st_size) + ' '
         + std::to_string(is.st_mode) + ' ' + std::to_string(is.st_mtim.tv_sec) + '.'
         + std::to_string(is.st_mtim.tv_nsec) + ' ' + std::to_string(is.st_ctim.tv_sec) + '.'
         + std::to_string(is.st_ctim.tv_nsec) + '\n';
}

result<std::shared_ptr<const client_authorities>> load_clients(const fs::path& file) {
  const auto all = load_authorities(file);
  if (!all)
    return tl::unexpected(all.error());
  auto out = std::make_shared<client_authorities>();
  out->store.reset(X509_STORE_new());
  out->names.reset(sk_X509_NAME_new_null());
  for (int i = 0; i < sk_X509_num(all->get()); ++i) {
    auto* one = sk_X509_value(all->get(), i);
    if (X509_STORE_add_cert(out->store.get(), one) != 1)
      return fail(errc::invalid_argument, file.string() + ": " + take_problem());
    sk_X509_NAME_push(out->names.get(), X509_NAME_dup(X509_get_subject_name(one)));
  }
  return out;
}

} // namespace

result<std::unique_ptr<certificate_store>>
certificate_store::open(places where, std::function<void(const std::string&)> report) {
  std::error_code none;
  if (!fs::is_directory(where.directory, none))
    return fail(errc::invalid_argument, where.directory.string() + " is no directory");
  if (!where.client_ca.empty())
    if (auto clients = load_clients(where.client_ca); !clients)
      return tl::unexpected(clients.error());
  std::unique_ptr<certificate_store> out{
    new certificate_store{std::move(where), std::move(report)}};
  std::vector<fs::path> watched{out->where_.directory};
  if (!out->where_.client_ca.empty())
    watched.push_back(fs::absolute(out->where_.client_ca).parent_path());
  // Before the first reading, so that no change falls between.
  auto watch = file_watch::start(watched, [store = out.get()] { store->reread(); });
  if (!watch)
    return tl::unexpected(watch.error());
  out->watch_ = std::move(*watch);
  out->reread();
  return out;
}

certificate_store::certificate_store(places where, std::function<void(const std::string&)> report)
  : where_(std::move(where)),
    report_(std::move(report)),
    current_(std::make_shared<const material>()) {}

std::string certificate_store::state_of_files() const {
  std::string out;
  for (const auto& name : pairs_in(where_.directory))
    out +=
      state_of(where_.directory / (name + ".crt")) + state_of(where_.directory / (name + ".key"));
  if (!where_.client_ca.empty())
    out += state_of(where_.client_ca);
  return out;
}

void certificate_store::reread() {
  const std::lock_guard hold{reading_};
  // Before the files themselves: what changes while they are read is read again.
  auto state = state_of_files();
  if (state == read_)
    return;
  const auto before = current_.load();
  auto next = std::make_shared<material>();
  read_pairs(*before, *next);
  read_clients(*before, *next);
  if (next->certificates.all().empty())
    next->problems.push_back(where_.directory.string() + " has no certificate that can be served");
  for (const auto& problem : next->problems)
    report_(problem);
  current_.store(std::move(next));
  read_ = std::move(state);
}

void certificate_store::read_pairs(const material& before, material& into) const {
  certificate_set::list usable;
  for (const auto& name : pairs_in(where_.directory)) {
    if (auto loaded = load_certificate(where_.directory, name)) {
      usable.push_back(std::move(*loaded));
      continue;
    } else {
      into.problems.push_back("certificate " + name + ": " + loaded.error().message);
    }
    const auto& old = before.certificates.all();
    const auto kept =
      std::find_if(old.begin(), old.end(), [&](const auto& one) { return one->name == name; });
    if (kept != old.end())
      usable.push_back(*kept);
  }
  into.certificates = certificate_set{std::move(usable)};
}

void certificate_store::read_clients(const material& before, material& into) const {
  if (where_.client_ca.empty())
    return;
  if (auto loaded = load_clients(where_.client_ca)) {
    into.clients = std::move(*loaded);
  } else {
    into.clients = before.clients;
    into.problems.push_back("client CAs: " + loaded.error().message);
  }
}

} // namespace marchproxy::tls

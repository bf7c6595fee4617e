#!/usr/bin/env bash
# SPDX-License-Identifier: AGPL-3.0-only
# Unpacks the peers' Debian packages, and those of the load generators, below a cache directory: nothing is installed,
# nothing is started. What was unpacked before is left as it is.
#
#   fetch_peers.sh    into $MP_BENCH_CACHE (root: /var/cache/marchproxy-bench, others: ~/.cache/marchproxy-bench)
#
# root/ has packages of this suite of Debian, root13/ newer peers of the next, with the libraries that they need.
# It uses the machine's own apt sources; the next suite's are derived from them by name.
set -euo pipefail

if [ "$(id -u)" = 0 ]; then
  base=/var/cache/marchproxy-bench
else
  base=${XDG_CACHE_HOME:-$HOME/.cache}/marchproxy-bench
fi
base=${MP_BENCH_CACHE:-$base}

this_suite=(
  iperf3 wrk nghttp2-client
  squid squid-langpack tinyproxy privoxy dante-server microsocks trafficserver
  haproxy libnginx-mod-stream varnish hitch apache2-bin lighttpd lighttpd-mod-openssl h2o caddy nghttp2-proxy pen
)
next_suite=(haproxy nginx libnginx-mod-stream squid)
stamp=$base/unpacked
wanted=$(printf '%s ' "${this_suite[@]}" / "${next_suite[@]}")
if [ "$(cat "$stamp" 2>/dev/null || true)" = "$wanted" ]; then
  exit 0
fi

unpack_debs=$(dirname "$0")/../../support/unpack_debs
mkdir -p "$base"/apt/{lists,cache/archives/partial,etc,preferences}

# One at a time: some of them conflict when they are installed, which they are not.
for package in "${this_suite[@]}"; do
  "$unpack_debs" "$base/root" "$package" || echo "fetch_peers: no $package here" >&2
done

touch "$base/apt/status" # nothing counts as installed, so libraries come along
sources=(/etc/apt/sources.list.d/*.sources)
for file in "${sources[@]}"; do
  awk 'BEGIN { RS = ""; ORS = "\n\n" } /bookworm bookworm-updates/ { gsub(/bookworm/, "trixie"); print }' "$file"
done >"$base/apt/etc/next.sources"
next=(
  -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$base/apt/etc"
  -o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts="$base/apt/preferences"
  -o Dir::State::lists="$base/apt/lists" -o Dir::Cache="$base/apt/cache" -o Dir::State::status="$base/apt/status"
)
apt-get -q -o Dpkg::Use-Pty=0 -o APT::Sandbox::User=root "${next[@]}" update >&2
"$unpack_debs" "$base/root13" "${next[@]}" "${next_suite[@]}"

echo "$wanted" >"$stamp"
echo "fetch_peers: unpacked below $base" >&2

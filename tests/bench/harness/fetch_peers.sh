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
# What maintainer scripts want and the programs don't, or what the system itself must keep.
unwanted='^(perl|libperl|libdbi|logrotate|adduser|passwd|systemd|init|libpam|login|util-linux|debconf|dpkg|tar|coreutils'
unwanted+='|bash|sed|grep|cron|base-|mount|apt|sysvinit)'

stamp=$base/unpacked
wanted=$(printf '%s ' "${this_suite[@]}" / "${next_suite[@]}")
if [ "$(cat "$stamp" 2>/dev/null || true)" = "$wanted" ]; then
  exit 0
fi

own=(-q -o Dpkg::Use-Pty=0 -o APT::Sandbox::User=root)
mkdir -p "$base"/{debs,debs13,root,root13} "$base"/apt/{lists,cache/archives/partial,etc,preferences}

# download DEBS PACKAGE... with the packages that apt would install beside them; $apt says how to call apt-get.
download() {
  local debs=$1 names
  shift
  names=$("${apt[@]}" install -s --no-install-recommends "$@" | awk '/^Inst/ { print $2 }' | grep -vE "$unwanted" | sort -u)
  (cd "$debs" && xargs -r "${apt[@]}" download <<<"$names") >&2
}
unpack() {
  local deb
  for deb in "$1"/*.deb; do
    dpkg -x "$deb" "$2"
  done
}

apt=(apt-get "${own[@]}")
# One at a time: some of them conflict when they are installed, which they are not.
for package in "${this_suite[@]}"; do
  download "$base/debs" "$package" || echo "fetch_peers: no $package here" >&2
done
unpack "$base/debs" "$base/root"

touch "$base/apt/status" # nothing counts as installed, so libraries come along
sources=(/etc/apt/sources.list.d/*.sources)
for file in "${sources[@]}"; do
  awk 'BEGIN { RS = ""; ORS = "\n\n" } /bookworm bookworm-updates/ { gsub(/bookworm/, "trixie"); print }' "$file"
done >"$base/apt/etc/next.sources"
apt+=(
  -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$base/apt/etc"
  -o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts="$base/apt/preferences"
  -o Dir::State::lists="$base/apt/lists" -o Dir::Cache="$base/apt/cache" -o Dir::State::status="$base/apt/status"
)
"${apt[@]}" update >&2
download "$base/debs13" "${next_suite[@]}"
unpack "$base/debs13" "$base/root13"

echo "$wanted" >"$stamp"
echo "fetch_peers: unpacked below $base" >&2

#!/usr/bin/env bash
# Writes .version = vMajor.Minor.Patch.build, where build is the epoch second of the call (VER-1).
#
#   scripts/update-version.sh               only the build number
#   scripts/update-version.sh patch|minor|major
set -euo pipefail
cd "$(dirname "$0")/.."

current=$(cat .version)
[[ $current =~ ^v([0-9]+)\.([0-9]+)\.([0-9]+)\.[0-9]+$ ]] || {
  echo "update-version: .version holds '$current', not vMajor.Minor.Patch.build" >&2
  exit 1
}
major=${BASH_REMATCH[1]} minor=${BASH_REMATCH[2]} patch=${BASH_REMATCH[3]}
case "${1:-}" in
  "") ;;
  patch) patch=$((patch + 1)) ;;
  minor) minor=$((minor + 1)) patch=0 ;;
  major) major=$((major + 1)) minor=0 patch=0 ;;
  -h | --help) sed -n '2,5p' "$0" | sed 's/^# \{0,1\}//'; exit 0 ;;
  *) echo "update-version: '$1' is none of patch, minor, major" >&2; exit 2 ;;
esac
echo "v$major.$minor.$patch.$(date +%s)" >.version
cat .version

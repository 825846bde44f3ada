#!/usr/bin/env bash
# Lists the example repository's files for the demo's binary; run it after adding or removing one.
set -euo pipefail
cd "$(dirname "$0")"
{
    echo '['
    (cd acme && find . -type f | sed 's|^\./||' | LC_ALL=C sort) | while read -r file; do
        printf '    ("%s", include_str!("../../../examples/acme/%s")),\n' "$file" "$file"
    done
    echo ']'
} >../fairway/src/demo/example_files.in

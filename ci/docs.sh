#!/usr/bin/env bash
# Checks every Markdown file: relative links and their anchors, the paths of the repository that the text names, and the size
# of README.md.
set -euo pipefail
cd "$(dirname "$0")/.."
fail=0
complain() { echo "docs: $*" >&2; fail=1; }

lines=$(wc -l <README.md)
[ "$lines" -le 130 ] || complain "README.md has $lines lines, more than 130"
wide=$(LC_ALL=C.UTF-8 grep -nE '^.{101,}' README.md | cut -d: -f1 | xargs || true)
[ -z "$wide" ] || complain "README.md: more than 100 columns in lines $wide"

# The anchors that GitHub gives to the headings of a file.
anchors() { grep -E '^#+ ' "$1" | sed -E 's/^#+ //; s/[^[:alnum:] _-]//g; s/ /-/g' | tr '[:upper:]' '[:lower:]'; }

links() { grep -oP '\]\(\K[^)]+(?=\))' "$1" | grep -vE '^[a-z]+:' || true; }

# Paths from the top of the repository, wherever they are written; a `*` is a pattern.
paths() { grep -oP '(?<![\w./$-])(bins|ci|engine|interop|reports|scenarios|sim)/[\w./*-]*' "$1" | sed 's/[.]$//' | grep -v NAME | sort -u || true; }

while read -r file; do
  folder=$(dirname "$file")
  while read -r link; do
    target=$folder/${link%%#*}
    [ "${link%%#*}" ] || target=$file
    [ -e "$target" ] || { complain "$file: the link $link leads nowhere"; continue; }
    [[ $link != *#* ]] || anchors "$target" | grep -qx -- "${link#*#}" || complain "$file: $link: no such heading"
  done < <(links "$file")
  while read -r path; do
    compgen -G "$path" >/dev/null || complain "$file: $path does not exist"
  done < <(paths "$file")
done < <(git ls-files --cached --others --exclude-standard '*.md')
exit $fail

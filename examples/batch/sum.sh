#!/bin/sh
# Runs once after all workers have ended. BROOD_REASON says how that came about.
set -eu
[ "$BROOD_REASON" = completed ] || exit 0
cat /tmp/words.* | { sum=0; while read -r n; do sum=$((sum + n)); done; echo "words: $sum"; }

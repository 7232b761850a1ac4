#!/bin/sh
# Counts the words of this worker's share of the texts: every BROOD_COUNTth file.
set -eu
cd "$1"
i=0 words=0
for file in *.txt; do
	if [ $((i % BROOD_COUNT)) -eq "$BROOD_INDEX" ]; then
		words=$((words + $(wc -w <"$file")))
	fi
	i=$((i + 1))
done
echo "$words" >"/tmp/words.$BROOD_INDEX"

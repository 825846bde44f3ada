# Runs one stage: $1 = its directory, $2 = the intent to run it, which is also stdout; the rest =
# the command.
# `ln` fails if `claim` exists or the intent was withdrawn, so of any number of wrappers at most one
# runs the command, none that was given up does, and the record of who runs it is complete before
# the command starts.
dir=$1
intent=$2
shift 2
IFS= read -r stat <"/proc/$$/stat" || exit 125
IFS= read -r boot </proc/sys/kernel/random/boot_id || exit 125
printf '%s\n' "$boot" "$stat" || exit 125
ln "$intent" "$dir/claim" 2>/dev/null || { rm -f "$intent"; exit 0; }
rm -f "$intent"
"$@" </dev/null >>"$dir/log" 2>&1
printf '%s\n' "$?" >"$dir/exit.new" && mv "$dir/exit.new" "$dir/exit"

# Runs one stage: $1 = its directory, the rest = the command.
# `ln` fails if the name exists, so of any number of wrappers exactly one runs the command, and
# the record of who runs it is complete before the command starts.
dir=$1
shift
IFS= read -r stat <"/proc/$$/stat" || exit 125
IFS= read -r boot </proc/sys/kernel/random/boot_id || exit 125
printf '%s\n' "$boot" "$stat" >"$dir/claim.$$" || exit 125
ln "$dir/claim.$$" "$dir/claim" 2>/dev/null || { rm -f "$dir/claim.$$"; exit 0; }
rm -f "$dir/claim.$$"
"$@" </dev/null >>"$dir/log" 2>&1
printf '%s\n' "$?" >"$dir/exit.new" && mv "$dir/exit.new" "$dir/exit"

# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# bash completion for gmemctl. Verbs, options and methods are those that gmemctl tells of, VMs and memories those that gmemd has.

# Names are tenants' to choose: what is typed for them is quoted, and no word of theirs is ever expanded.
_gmemctl_offer() { # from standard input, a word a line
	local word quoted
	while IFS= read -r word; do
		[ -n "$word" ] || continue
		printf -v quoted %q "$word"
		[[ $word == "$_gmemctl_current"* || $quoted == "$_gmemctl_current"* ]] && COMPREPLY+=("$quoted")
	done
}

# The first words of a section of gmemctl help.
_gmemctl_section() { # title
	gmemctl help 2>/dev/null | awk -v title="$1" '/^[^ ]/ { inside = index($0, title) == 1; next } inside && NF { print $1 }'
}

_gmemctl_ask() { # argument...
	gmemctl "${_gmemctl_where[@]}" --timeout=1 "$@" 2>/dev/null
}

_gmemctl_options() { # verb
	printf '%s\n' --json --socket= --timeout= --help --version
	gmemctl help "$1" 2>/dev/null | sed 1q | grep -o -e '--[a-z-]*=\{0,1\}'
}

_gmemctl_value() { # option verb
	case $1:$2 in
	--output:export)
		compgen -f -- "$_gmemctl_current"
		return
		;;
	--sort:top)
		printf '%s\n' committed resident private rate name age tenant
		return
		;;
	esac
	case $1 in
	--socket) compgen -f -- "$_gmemctl_current" ;;
	--name | --tenant | --state | --unit) _gmemctl_ask vms --noheadings -o "${1#--}" | sed 's/[[:space:]]*$//' | sort -u ;;
	--pid) _gmemctl_ask vms --noheadings -o pid | tr -d ' ' ;;
	--sort | --output) gmemctl help "$2" 2>/dev/null | sed -n '/^COLUMN/,$s/^\([A-Z]*\).*/\1/p' | sed 1d | tr '[:upper:]' '[:lower:]' ;;
	esac
}

_gmemctl() {
	local _gmemctl_current=${COMP_WORDS[COMP_CWORD]} _gmemctl_where=() before=${COMP_WORDS[COMP_CWORD - 1]} verb='' after=0 i
	COMPREPLY=()
	# bash splits --option=value into three words.
	[ "$_gmemctl_current" != = ] || { _gmemctl_current='' && before==; }
	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		--socket) _gmemctl_where=("--socket=${COMP_WORDS[i + 2]-}") ;;
		-* | =) ;;
		*)
			[ "${COMP_WORDS[i - 1]}" != = ] || continue
			if [ -z "$verb" ]; then verb=${COMP_WORDS[i]}; else after=$((after + 1)); fi
			;;
		esac
	done
	if [ "$before" = = ]; then
		i=$((COMP_CWORD - 1))
		[ "${COMP_WORDS[i]}" = = ] && i=$((i - 1))
		_gmemctl_offer < <(_gmemctl_value "${COMP_WORDS[i]}" "$verb")
	elif [ "$before" = -o ]; then
		_gmemctl_offer < <(_gmemctl_value --output "$verb")
	elif [[ $_gmemctl_current == -* ]]; then
		_gmemctl_offer < <(_gmemctl_options "$verb")
		compopt -o nospace 2>/dev/null
	elif [ -z "$verb" ]; then
		_gmemctl_offer < <(_gmemctl_section Verbs)
	elif [ "$after" -eq 0 ]; then
		case $verb in
		show | slots | prealloc | reclaim | dump)
			_gmemctl_offer < <(_gmemctl_ask vms --noheadings -o name | sed 's/[[:space:]]*$//' | sort -u)
			;;
		export) _gmemctl_offer < <(printf '%s\n' nova-provider nfd) ;;
		call) _gmemctl_offer < <(_gmemctl_section Methods) ;;
		help) _gmemctl_offer < <(_gmemctl_section Verbs && _gmemctl_section Methods) ;;
		esac
	fi
}

complete -F _gmemctl gmemctl

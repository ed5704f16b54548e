# Completion for bash: source this file, or copy it to /usr/share/bash-completion/completions/stead.
#
# The words come from the program itself (`stead --help`, `stead COMMAND --help`), so they cannot be out of date. Agents are asked
# from the node of $STEAD_NODE or --node, a hundred at most and half a second at most: no node, no addresses, no waiting.

# The commands that the program lists.
_stead_commands() {
    "$1" --help 2>/dev/null | sed -n 's/^  \([a-z]*\)  *[A-Z].*/\1/p'
}

# The long options of one command.
_stead_options() {
    "$1" "$2" --help 2>/dev/null | grep -o -- '--[a-z][a-z-]*=\{0,1\}' | sort -u
}

# Addresses that begin with $3; $2 is empty or an endpoint.
_stead_agents() {
    "$1" agents ${2:+--node "$2"} --timeout 500ms --limit 100 --prefix "$3" --json 2>/dev/null |
        sed -n 's/.*"address": *"\([^"]*\)".*/\1/p'
}

# The same of those that are held.
_stead_held() {
    "$1" locks ${2:+--node "$2"} --timeout 500ms --limit 100 --prefix "$3" --json 2>/dev/null |
        sed -n 's/^{"address": *"\([^"]*\)".*/\1/p'
}

# Ids of instances that begin with $3, on the direct fabric; $2 is empty or an endpoint.
_stead_instances() {
    "$1" orchestrations ${2:+--node "$2"} --timeout 500ms --limit 100 --prefix "$3" --json 2>/dev/null |
        sed -n 's/.*"id": *"\([^"]*\)".*/\1/p'
}

# Names of the orchestrators that the nodes have.
_stead_orchestrators() {
    "$1" cluster status ${2:+--node "$2"} --timeout 500ms --json 2>/dev/null |
        grep -o '"orchestrators": \[[^]]*\]' | grep -o '"name": "[^"]*"' | cut -d'"' -f4 | sort -u
}

# Puts the lines of a command among the answers, quoted as words.
_stead_offer() {
    local lines
    mapfile -t lines < <("$@")
    ((${#lines[@]})) && COMPREPLY=($(printf '%q\n' "${lines[@]}"))
}

_stead() {
    local cur prev words cword
    if declare -F _init_completion >/dev/null; then
        _init_completion -n =: || return
    else
        cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
        words=("${COMP_WORDS[@]}") cword=$COMP_CWORD
    fi
    local program=${words[0]} command=${words[1]} node="" has_address="" i

    if ((cword == 1)); then
        COMPREPLY=($(compgen -W "$(_stead_commands "$program") --help --version" -- "$cur"))
        return
    fi
    for ((i = 2; i < cword; i++)); do
        [[ ${words[i]} == --node || ${words[i]} == -n ]] && node=${words[i + 1]}
        [[ ${words[i]} == [a-z]*/* && ${words[i]} != *://* ]] && has_address=yes
    done
    case $prev in
    --module | -m) compopt -o default; COMPREPLY=($(compgen -f -X '!*.so' -- "$cur") $(compgen -d -- "$cur")); return ;;
    --html | --prices) compopt -o default; COMPREPLY=($(compgen -f -- "$cur")); return ;;
    --workloads | --fabrics) COMPREPLY=($(compgen -W "$("$program" compare --list 2>/dev/null | sed -n 's/^  \([a-z][a-z0-9_-]*\) .*/\1/p')" -- "$cur")); return ;;
    --folder | -d) compopt -o default; COMPREPLY=($(compgen -d -- "$cur")); return ;;
    --class | -c) [[ $command == node ]] || COMPREPLY=($(compgen -W "volatile replicated durable" -- "$cur")); return ;;
    --log-level | -v) COMPREPLY=($(compgen -W "error warn info debug" -- "$cur")); return ;;
    --fabric | -F) COMPREPLY=($(compgen -W "direct hub" -- "$cur")); return ;;
    --status | -s)
        COMPREPLY=($(compgen -W "Running Pending Suspended Completed Failed Canceled Terminated" -- "$cur"))
        return
        ;;
    --hub | --id | --version | --delay | --from | --to | --older-than | --name | --sample) return ;;
    --node | --timeout | --key | --delay | --fence | --limit | --kind | --prefix | --after | --listen) return ;;
    esac
    if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W "$(_stead_options "$program" "$command")" -- "$cur"))
        [[ ${COMPREPLY[0]} == *= ]] && compopt -o nospace
        return
    fi
    case $command in
    help) COMPREPLY=($(compgen -W "$(_stead_commands "$program")" -- "$cur")) ;;
    cluster) COMPREPLY=($(compgen -W "status" -- "$cur")) ;;
    call | signal | tell | show | journal | unlock | deadletters)
        if [[ $has_address ]]; then
            [[ $command == deadletters ]] && COMPREPLY=($(compgen -W "retry drop" -- "$cur"))
            return
        fi
        _stead_offer _stead_agents "$program" "$node" "$cur"
        ;;
    run) COMPREPLY=($(compgen -W "$(_stead_orchestrators "$program" "$node")" -- "$cur")) ;;
    status | history | raise | terminate | suspend | resume | rewind | restart | purge)
        ((cword == 2)) && _stead_offer _stead_instances "$program" "$node" "$cur"
        ;;
    orchestrations) ((cword == 2)) && COMPREPLY=($(compgen -W "verify" -- "$cur")) ;;
    locks)
        COMPREPLY=($(compgen -W "list break" -- "$cur"))
        [[ $prev == break ]] && _stead_offer _stead_held "$program" "$node" "$cur"
        ;;
    backup | restore | check) compopt -o default; COMPREPLY=($(compgen -d -- "$cur")) ;;
    esac
}

complete -F _stead stead

package main

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/spf13/cobra"
)

// completionScripts write the script of each shell.
var completionScripts = map[string]func(root *cobra.Command, w io.Writer) error{
	"bash": func(root *cobra.Command, w io.Writer) error {
		if err := root.GenBashCompletionV2(w, true); err != nil {
			return err
		}
		_, err := io.WriteString(w, bashAlone)
		return err
	},
	"zsh":        (*cobra.Command).GenZshCompletion,
	"fish":       func(root *cobra.Command, w io.Writer) error { return root.GenFishCompletion(w, true) },
	"powershell": (*cobra.Command).GenPowerShellCompletionWithDesc,
}

// bashAlone replaces what the library's script asks of the package bash-completion where that is not installed. Bash
// breaks words at colons, and our names have them, so that the line is taken apart at white space.
const bashAlone = `
if ! declare -F _get_comp_words_by_ref _init_completion >/dev/null 2>&1; then
    __distsuperctl_init_completion()
    {
        COMPREPLY=()
        local line=${COMP_LINE:0:COMP_POINT}
        read -ra words <<< "$line"
        [[ $line == *[[:space:]] ]] && words+=("")
        cword=$((${#words[@]} - 1))
        cur=${words[cword]}
        prev=${words[cword > 0 ? cword - 1 : 0]}
    }
fi
`

func newCompletion(c *ctl) *cobra.Command {
	shells := slices.Sorted(maps.Keys(completionScripts))
	return &cobra.Command{
		Use:   "completion bash|fish|powershell|zsh",
		Short: "print a script with which your shell completes commands and names",
		Long: `completion writes the script by which your shell completes commands, flags, and the names of processes, groups and
machines, for which it asks the store. What it writes for bash needs no other package. For every new session:

  bash  distsuperctl completion bash > /etc/bash_completion.d/distsuperctl, with the package bash-completion;
        else source <(distsuperctl completion bash) in ~/.bashrc
  zsh   distsuperctl completion zsh > "${fpath[1]}/_distsuperctl", with compinit in ~/.zshrc
  fish  distsuperctl completion fish > ~/.config/fish/completions/distsuperctl.fish`,
		Example:   "  source <(distsuperctl completion bash)\n  distsuperctl completion fish | source",
		Hidden:    c.shell != nil, // it completes by itself
		Args:      usageArgs(cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs)),
		ValidArgs: shells,
		RunE: func(cmd *cobra.Command, args []string) error {
			var script bytes.Buffer
			if err := completionScripts[args[0]](cmd.Root(), &script); err != nil {
				return fmt.Errorf("write the script for %s: %w", args[0], err)
			}
			_, err := c.out.Write(script.Bytes())
			return err
		},
	}
}

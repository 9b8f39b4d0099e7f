package cli

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/k8s-groundup/groundup/tools/lab/cluster"
	"github.com/k8s-groundup/groundup/tools/lab/initd"
	"github.com/spf13/cobra"
)

func logsCommand() *cobra.Command {
	var follow bool
	var node string
	var lines int
	cmd := &cobra.Command{
		Use:   "logs [COMPONENT]",
		Short: "The log of a node's component; without a name, which there are",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := asRoot("reading a node's logs"); err != nil {
				return err
			}
			n, err := pick(open(), node)
			if err != nil {
				return err
			}
			if len(args) == 0 {
				listLogs(cmd.OutOrStdout(), n)
				return nil
			}
			log, ok := logFiles(n)[args[0]]
			if !ok {
				return fmt.Errorf("%s has no component %q: `lab logs` lists them", n.Name, args[0])
			}
			return tail(cmd.Context(), cmd.OutOrStdout(), log, lines, follow)
		},
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on as lines are written")
	cmd.Flags().StringVar(&node, "node", "", "of this `node` (default: the first)")
	cmd.Flags().IntVar(&lines, "tail", 200, "at most so many `lines` of the past")
	return cmd
}

func listLogs(w io.Writer, n cluster.Node) {
	for _, name := range slices.Sorted(maps.Keys(logFiles(n))) {
		fmt.Fprintln(w, name)
	}
}

// logFiles are the newest logs of the node's components, by name: of services,
// and of the static pods of the control plane.
func logFiles(n cluster.Node) map[string]string {
	files := map[string]string{}
	services, _ := filepath.Glob(n.Path(filepath.Join(initd.LogDir, "*.log"))) // the pattern is sound
	for _, f := range services {
		files[strings.TrimSuffix(filepath.Base(f), ".log")] = f
	}
	pods, _ := filepath.Glob(n.Path("/var/log/pods/kube-system_*-" + n.Name + "_*/*/*.log"))
	for _, f := range pods {
		container := filepath.Base(filepath.Dir(f))
		if newer(f, files[container]) {
			files[container] = f
		}
	}
	return files
}

// newer says whether file a was written later than b, which need not be there.
func newer(a, b string) bool {
	of := func(file string) (t time.Time) {
		if info, err := os.Stat(file); err == nil {
			t = info.ModTime()
		}
		return t
	}
	return of(a).After(of(b))
}

// plain is a log line as the component wrote it: a container's log has the time,
// the stream and a tag before each (CRI logging format).
func plain(file, line string) string {
	if !strings.HasPrefix(filepath.Base(filepath.Dir(filepath.Dir(file))), "kube-system_") {
		return line
	}
	if fields := strings.SplitN(line, " ", 4); len(fields) == 4 {
		return fields[3]
	}
	return line
}

// tail prints the last lines of a file and, when following, what is appended
// until ctx is done.
func tail(ctx context.Context, w io.Writer, path string, lines int, follow bool) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	r := bufio.NewReader(f)
	var last []string
	for {
		line, err := r.ReadString('\n')
		// After a power cut, a file system may have the length of what was written last
		// and zeros in its place; with those, grep takes a log for no text.
		if line = strings.ReplaceAll(line, "\x00", ""); line != "" {
			if last = append(last, line); len(last) > lines {
				last = last[1:]
			}
		}
		if err == io.EOF {
			break
		} else if err != nil {
			return err
		}
	}
	for _, line := range last {
		fmt.Fprint(w, plain(path, line))
	}
	if !follow {
		return nil
	}
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	var part string // of a line that is still being written
	for {
		line, err := r.ReadString('\n')
		part += line
		if err == nil {
			fmt.Fprint(w, plain(path, part))
			part = ""
			continue
		} else if err != io.EOF {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Command bench measures what the labs promise and prints a table. It needs
// root and makes everything in a network namespace and directories of its own.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"

	"github.com/k8s-groundup/groundup/tools/lab/bench"
	"github.com/k8s-groundup/groundup/tools/lab/bench/apibench"
	"github.com/k8s-groundup/groundup/tools/lab/bench/schedbench"
	"github.com/k8s-groundup/groundup/tools/lab/thread"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

func main() {
	repo := flag.String("repo", ".", "`folder` of the repository")
	out := flag.String("o", "bench.json", "`file` for the figures")
	runs := flag.Int("runs", 5, "how `often` each is measured")
	containers := flag.Bool("containers", false, "measure only containers")
	api := flag.Bool("apiserver", false, "measure only the API server, beside upstream's (`make upstream` first)")
	scheduler := flag.Bool("scheduler", false, "measure only the scheduler, beside upstream's (`make upstream` first)")
	some := flag.String("parts", "", "`parts` of the figures: of the API server memory,create,crowd,list,watch; of the scheduler plain,spread,anti-affinity,preemption (all without)")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	defer stop()
	var err error
	parts := strings.FieldsFunc(*some, func(r rune) bool { return r == ',' })
	if *api {
		err = apiServer(ctx, *repo, *out, *runs, parts)
	} else if *scheduler {
		err = schedulers(ctx, *repo, *out, *runs, parts)
	} else {
		err = run(ctx, *repo, *out, *runs, *containers)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, repo, out string, runs int, onlyContainers bool) error {
	repo, err := filepath.Abs(repo)
	if err != nil {
		return err
	}
	home, err := os.MkdirTemp("", "groundup-bench-home-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(home)
	lab := bench.Lab{Repo: repo, Home: filepath.Join(home, "home")}
	report := bench.NewReport()
	err = thread.Run(func() error {
		ns, err := netns.New()
		if err != nil {
			return fmt.Errorf("make a network namespace: %w (this needs root)", err)
		}
		defer ns.Close()
		return measure(ctx, lab, &report, runs, onlyContainers)
	})
	if err != nil {
		return err
	}
	return finish(report, out)
}

// apiServer needs neither root nor a namespace: all is on loopback.
func apiServer(ctx context.Context, repo, out string, runs int, parts []string) error {
	program, err := build(ctx, repo, "./steps/02-apiserver/cmd/kube-apiserver")
	if err != nil {
		return err
	}
	report := bench.NewReport()
	rows, err := apibench.Run(ctx, apibench.Config{Ours: program, Upstream: filepath.Join(repo, "bin/upstream"), Runs: runs, Pods: 10000, Watchers: 1000, Parts: parts})
	if err != nil {
		return err
	}
	report.Rows = rows
	return finish(report, out)
}

// schedulers needs neither, as well.
func schedulers(ctx context.Context, repo, out string, runs int, parts []string) error {
	server, err := build(ctx, repo, "./steps/03-scheduler/cmd/kube-apiserver")
	if err != nil {
		return err
	}
	ours, err := build(ctx, repo, "./steps/03-scheduler/cmd/kube-scheduler")
	if err != nil {
		return err
	}
	report := bench.NewReport()
	report.Rows, err = schedbench.Run(ctx, schedbench.Config{
		APIServer: server, Ours: ours, Upstream: filepath.Join(repo, "bin/upstream/kube-scheduler"),
		Runs: runs, Pods: 5000, Nodes: []int{100, 1000}, Parts: parts,
	})
	if err != nil {
		return err
	}
	return finish(report, out)
}

// build builds a program as it is measured.
func build(ctx context.Context, repo, main string) (program string, err error) {
	program = filepath.Join(repo, "bin", "bench", main)
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", program, main)
	cmd.Dir, cmd.Env = repo, append(os.Environ(), "CGO_ENABLED=0")
	if said, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%v: %w\n%s", cmd.Args, err, said)
	}
	return program, nil
}

func finish(report bench.Report, out string) error {
	broken := report.Print(os.Stdout)
	if err := report.Save(out); err != nil {
		return err
	}
	if broken > 0 {
		return fmt.Errorf("%d bound(s) broken", broken)
	}
	return nil
}

func measure(ctx context.Context, lab bench.Lab, report *bench.Report, runs int, onlyContainers bool) (err error) {
	for _, argv := range [][]string{
		{filepath.Join(lab.Repo, "bin/lab"), "build", "01"},
		{filepath.Join(lab.Repo, "bin/images"), "build", "-o", filepath.Join(lab.Repo, "bin/archives"), "pause"},
	} {
		if out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%v: %w\n%s", argv, err, out)
		}
	}
	rows, err := bench.Containers(ctx, lab.Repo, runs)
	if err != nil {
		return err
	}
	report.Rows = append(report.Rows, rows...)
	if onlyContainers {
		return nil
	}
	if rows, err = lab.UpAndDown(ctx, "01", runs); err != nil {
		return err
	}
	report.Rows = append(report.Rows, rows...)
	if rows, err = lab.StaticPods(ctx, runs); err != nil {
		return err
	}
	report.Rows = append(report.Rows, rows...)
	return nil
}

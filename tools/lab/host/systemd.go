package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/k8s-groundup/groundup/tools/lab/box"
	"github.com/k8s-groundup/groundup/tools/lab/initd"
)

// Systemd makes every service a unit of its name, as a kubeadm node has
// kubelet.service. Units are enabled: they come back after a reboot.
type Systemd struct {
	Dir string // of the units
}

// mark is the first line of our units, by which they are found again.
const mark = "# Made by `lab up --on host`; `lab down` removes it.\n"

// unit is the text of a service's unit. Restart=always and the log file are what
// [initd.Init] does as well; KillMode=process because a kubelet that stops must
// not take the pods' shims along.
func unit(s initd.Service) string {
	argv := make([]string, len(s.Argv))
	for i, arg := range s.Argv {
		argv[i] = quote(arg)
	}
	log := filepath.Join(initd.LogDir, s.Name+".log")
	return mark + "# Version " + s.Version + `
[Unit]
Description=Groundup: ` + s.Name + `
After=network-online.target
StartLimitIntervalSec=0

[Service]
ExecStart=` + strings.Join(argv, " ") + `
Environment=PATH=` + box.Path + ` HOME=/root LANG=C.UTF-8
Restart=always
RestartSec=100ms
KillMode=process
Delegate=yes
TasksMax=infinity
LimitNOFILE=1048576
StandardOutput=append:` + log + `
StandardError=append:` + log + `

[Install]
WantedBy=multi-user.target
`
}

// quote keeps an argument one argument: systemd.service(5), "COMMAND LINES".
func quote(arg string) string {
	arg = strings.NewReplacer(`\`, `\\`, `"`, `\"`, `%`, `%%`, `$`, `$$`).Replace(arg)
	return `"` + arg + `"`
}

func (d Systemd) Apply(services []initd.Service) error {
	have, err := d.units()
	if err != nil {
		return err
	}
	var gone, changed []string
	for name := range have {
		if !slices.ContainsFunc(services, func(s initd.Service) bool { return s.Name == name }) {
			gone = append(gone, name)
		}
	}
	if err := d.remove(gone); err != nil {
		return err
	}
	for _, s := range services {
		text := unit(s)
		if have[s.Name] == text {
			continue
		}
		path := d.path(s.Name)
		if _, err := os.Stat(path); err == nil && have[s.Name] == "" {
			return fmt.Errorf("%s is not ours: this machine runs another %s", path, s.Name)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return err
		}
		changed = append(changed, s.Name+".service")
	}
	if len(changed) == 0 {
		return nil
	}
	return errors.Join(systemctl("daemon-reload"), systemctl(append([]string{"enable"}, changed...)...), systemctl(append([]string{"restart"}, changed...)...))
}

// units returns the texts of our units, by the names of their services.
func (d Systemd) units() (map[string]string, error) {
	files, err := filepath.Glob(d.path("*"))
	if err != nil {
		return nil, err
	}
	ours := map[string]string{}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue // a dangling link, or a unit that went while we looked
		} else if err != nil {
			return nil, err
		}
		if strings.HasPrefix(string(b), mark) {
			ours[strings.TrimSuffix(filepath.Base(file), ".service")] = string(b)
		}
	}
	return ours, nil
}

func (d Systemd) path(name string) string { return filepath.Join(d.Dir, name+".service") }

func (d Systemd) Running() bool {
	units, err := d.units()
	return err == nil && len(units) > 0
}

func (d Systemd) Stop() error {
	units, err := d.units()
	if err != nil {
		return err
	}
	var names []string
	for name := range units {
		names = append(names, name)
	}
	return d.remove(names)
}

// remove stops services and deletes their units and logs.
func (d Systemd) remove(names []string) error {
	if len(names) == 0 {
		return nil
	}
	for _, name := range names {
		if err := systemctl("disable", "--now", name+".service"); err != nil {
			return err
		}
		if err := os.Remove(d.path(name)); err != nil {
			return err
		}
		if err := os.Remove(filepath.Join(initd.LogDir, name+".log")); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return systemctl("daemon-reload")
}

// properties of a unit that Services asks for, org.freedesktop.systemd1(5).
const properties = "--property=MainPID,NRestarts,ExecMainStartTimestamp,ExecMainExitTimestamp,ExecMainCode,ExecMainStatus"

func (d Systemd) Services() ([]initd.Status, error) {
	units, err := d.units()
	if err != nil {
		return nil, err
	}
	var all []initd.Status
	for name := range units {
		out, err := exec.Command("systemctl", "show", "--timestamp=unix", properties, name+".service").Output()
		if err != nil {
			return nil, fmt.Errorf("systemctl show %s: %w", name, err)
		}
		all = append(all, status(name, string(out)))
	}
	slices.SortFunc(all, func(a, b initd.Status) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

// status reads what `systemctl show` says of a unit.
func status(name, shown string) initd.Status {
	value := map[string]string{}
	for line := range strings.Lines(shown) {
		k, v, _ := strings.Cut(strings.TrimSpace(line), "=")
		value[k] = v
	}
	number := func(key string) int {
		n, _ := strconv.Atoi(strings.TrimPrefix(value[key], "@")) // empty: it never happened
		return n
	}
	s := initd.Status{Name: name, PID: number("MainPID"), Restarts: number("NRestarts"), Since: time.Unix(int64(number("ExecMainStartTimestamp")), 0)}
	s.Failures = s.Restarts // it does not tell which were in a row
	const exited = 1        // CLD_EXITED of waitid(2)
	switch code := number("ExecMainCode"); {
	case code == exited:
		s.Last = fmt.Sprintf("exit code %d", number("ExecMainStatus"))
	case code > exited:
		s.Last = fmt.Sprintf("signal %d", number("ExecMainStatus"))
	}
	if s.PID == 0 {
		s.Since = time.Unix(int64(number("ExecMainExitTimestamp")), 0)
	}
	return s
}

func systemctl(args ...string) error {
	if out, err := exec.Command("systemctl", append([]string{"--quiet"}, args...)...).CombinedOutput(); err != nil {
		return fmt.Errorf("systemctl %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

var _ Supervisor = Systemd{}

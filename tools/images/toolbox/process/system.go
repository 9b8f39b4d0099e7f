package process

import (
	"bufio"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/k8s-groundup/groundup/tools/images/toolbox/tool"
)

// Id is id [-u | -g | -G] [-n]. A number without a name in /etc/passwd or
// /etc/group is shown as a number.
func Id(args []string) error {
	o, _, err := tool.Parse(args, "ugGnr")
	if err != nil {
		return err
	}
	groups, err := os.Getgroups()
	if err != nil {
		return err
	}
	if !slices.Contains(groups, os.Getegid()) {
		groups = append([]int{os.Getegid()}, groups...)
	}
	switch {
	case o.Has('u'):
		return printID(o, os.Geteuid(), userName)
	case o.Has('g'):
		return printID(o, os.Getegid(), groupName)
	case o.Has('G'):
		var words []string
		for _, g := range groups {
			words = append(words, idWord(o, g, groupName))
		}
		fmt.Fprintln(tool.Out, strings.Join(words, " "))
		return nil
	}
	var all []string
	for _, g := range groups {
		all = append(all, both(g, groupName))
	}
	fmt.Fprintf(tool.Out, "uid=%s gid=%s groups=%s\n", both(os.Geteuid(), userName), both(os.Getegid(), groupName), strings.Join(all, ","))
	return nil
}

func printID(o tool.Options, id int, name func(int) string) error {
	fmt.Fprintln(tool.Out, idWord(o, id, name))
	if o.Has('n') && name(id) == "" {
		return fmt.Errorf("no name for id %d", id)
	}
	return nil
}

func idWord(o tool.Options, id int, name func(int) string) string {
	if n := name(id); o.Has('n') && n != "" {
		return n
	}
	return strconv.Itoa(id)
}

func both(id int, name func(int) string) string {
	if n := name(id); n != "" {
		return fmt.Sprintf("%d(%s)", id, n)
	}
	return strconv.Itoa(id)
}

func userName(id int) string {
	u, err := user.LookupId(strconv.Itoa(id))
	if err != nil {
		return ""
	}
	return u.Username
}

func groupName(id int) string {
	g, err := user.LookupGroupId(strconv.Itoa(id))
	if err != nil {
		return ""
	}
	return g.Name
}

// Whoami is id -un.
func Whoami([]string) error { return Id([]string{"-un"}) }

// Hostname prints the host name, or sets it.
func Hostname(args []string) error {
	o, rest, err := tool.Parse(args, "sfi")
	if err != nil {
		return err
	}
	if len(rest) > 0 {
		return unix.Sethostname([]byte(rest[0]))
	}
	name, err := os.Hostname()
	if o.Has('s') {
		name, _, _ = strings.Cut(name, ".")
	}
	fmt.Fprintln(tool.Out, name)
	return err
}

// Uname is uname [-asnrvm].
func Uname(args []string) error {
	o, _, err := tool.Parse(args, "asnrvmo")
	if err != nil {
		return err
	}
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return err
	}
	var words []string
	for _, part := range []struct {
		letter byte
		text   []byte
	}{{'s', u.Sysname[:]}, {'n', u.Nodename[:]}, {'r', u.Release[:]}, {'v', u.Version[:]}, {'m', u.Machine[:]}} {
		if o.Has('a') || o.Has(part.letter) || len(o) == 0 && part.letter == 's' {
			words = append(words, unix.ByteSliceToString(part.text))
		}
	}
	fmt.Fprintln(tool.Out, strings.Join(words, " "))
	return nil
}

// Uptime is uptime.
func Uptime([]string) error {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return err
	}
	load, err := os.ReadFile("/proc/loadavg")
	fmt.Fprintf(tool.Out, "up %s, load average: %s", time.Duration(info.Uptime)*time.Second, load)
	return err
}

// Date is date [-u] [-I] [+FORMAT] with the usual conversions.
func Date(args []string) error {
	o, rest, err := tool.Parse(args, "uRI")
	if err != nil {
		return err
	}
	now := time.Now()
	if o.Has('u') {
		now = now.UTC()
	}
	format := "%a %b %e %H:%M:%S %Z %Y"
	switch {
	case o.Has('I'):
		format = "%Y-%m-%d"
	case len(rest) > 0:
		format = strings.TrimPrefix(rest[0], "+")
	}
	fmt.Fprintln(tool.Out, strftime(now, format))
	return nil
}

func strftime(t time.Time, format string) string {
	layouts := map[byte]string{
		'Y': "2006", 'm': "01", 'd': "02", 'e': "_2", 'H': "15", 'M': "04", 'S': "05", 'y': "06", 'I': "03", 'p': "PM",
		'a': "Mon", 'A': "Monday", 'b': "Jan", 'B': "January", 'Z': "MST", 'z': "-0700", 'j': "002",
		'F': "2006-01-02", 'T': "15:04:05", 'R': "15:04", 'D': "01/02/06",
	}
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' || i+1 == len(format) {
			b.WriteByte(format[i])
			continue
		}
		i++
		switch c := format[i]; {
		case c == 's':
			fmt.Fprint(&b, t.Unix())
		case c == 'N':
			fmt.Fprintf(&b, "%09d", t.Nanosecond())
		case c == '%':
			b.WriteByte('%')
		case layouts[c] != "":
			b.WriteString(t.Format(layouts[c]))
		default:
			b.WriteString(format[i-1 : i+1])
		}
	}
	return b.String()
}

// Sysctl is sysctl [-n] [-w] NAME[=VALUE]….
func Sysctl(args []string) error {
	o, names, err := tool.Parse(args, "nw")
	if err != nil {
		return err
	}
	for _, word := range names {
		name, value, set := strings.Cut(word, "=")
		file := filepath.Join("/proc/sys", strings.ReplaceAll(name, ".", "/"))
		if set {
			if err := os.WriteFile(file, []byte(value), 0); err != nil {
				return err
			}
		}
		raw, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		now := strings.TrimSpace(string(raw))
		if !o.Has('n') {
			now = name + " = " + now
		}
		fmt.Fprintln(tool.Out, now)
	}
	return nil
}

// Ipcs is ipcs [-m]: the System V shared memory of this IPC namespace.
func Ipcs([]string) error {
	f, err := os.Open("/proc/sysvipc/shm")
	if err != nil {
		return err
	}
	defer f.Close()
	fmt.Fprintf(tool.Out, "------ Shared Memory Segments --------\n%-10s %-10s %-10s %-6s %s\n", "key", "shmid", "owner", "perms", "bytes")
	lines := bufio.NewScanner(f)
	lines.Scan() // the heading
	for lines.Scan() {
		w := strings.Fields(lines.Text())
		key, _ := strconv.ParseInt(w[0], 10, 64)
		fmt.Fprintf(tool.Out, "0x%08x %-10s %-10s %-6s %s\n", uint32(key), w[1], w[7], w[2], w[3])
	}
	return lines.Err()
}

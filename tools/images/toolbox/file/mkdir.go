package file

import (
	"fmt"
	"os"
	"strconv"
	"syscall"

	"github.com/k8s-groundup/groundup/tools/images/toolbox/tool"
)

// Mkdir is mkdir [-p] [-m MODE] NAME…, with an octal mode.
func Mkdir(args []string) error {
	o, names, err := tool.Parse(args, "pm:v")
	if err != nil {
		return err
	}
	mode, err := strconv.ParseUint("0"+o['m'], 8, 12)
	if err != nil {
		return fmt.Errorf("%q is no octal mode", o['m'])
	}
	make := os.Mkdir
	if o.Has('p') {
		make = os.MkdirAll
	}
	return each(names, func(n string) error {
		if err := make(n, 0o777); err != nil || !o.Has('m') {
			return err
		}
		return syscall.Chmod(n, uint32(mode)) // whatever the umask
	})
}

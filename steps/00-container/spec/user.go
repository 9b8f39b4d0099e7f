package spec

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// ResolveUser decides who a container runs as. The user is, by the first that
// is set: run_as_user, run_as_username, the image's USER, root. The group is
// run_as_group, or the one after the colon of the name that was chosen, or the
// user's own in /etc/passwd, or root's.
//
// Supplemental groups are those asked for and, unless the policy is Strict,
// those of which /etc/group says that the user is a member.
func ResolveUser(sec *runtimeapi.LinuxContainerSecurityContext, imageUser string, files Files) (specs.User, error) {
	name, group, _ := strings.Cut(imageUser, ":")
	switch {
	case sec.GetRunAsUser() != nil:
		name, group = strconv.FormatInt(sec.GetRunAsUser().GetValue(), 10), ""
	case sec.GetRunAsUsername() != "":
		name, group, _ = strings.Cut(sec.GetRunAsUsername(), ":") // containerd takes a group there, too
	}
	if sec.GetRunAsGroup() != nil {
		group = strconv.FormatInt(sec.GetRunAsGroup().GetValue(), 10)
	}
	account, err := lookupUser(name, files)
	if err != nil {
		return specs.User{}, err
	}
	user := specs.User{UID: account.uid, GID: account.gid}
	if group != "" {
		if user.GID, err = lookupGroup(group, files); err != nil {
			return specs.User{}, err
		}
	}
	groups := []uint32{user.GID}
	for _, g := range sec.GetSupplementalGroups() {
		if g < 0 || g > maxID {
			return specs.User{}, fmt.Errorf("supplemental group %d is no group id", g)
		}
		groups = append(groups, uint32(g))
	}
	if sec.GetSupplementalGroupsPolicy() == runtimeapi.SupplementalGroupsPolicy_Merge && account.name != "" {
		more, err := memberships(account.name, files)
		if err != nil {
			return specs.User{}, err
		}
		groups = append(groups, more...)
	}
	slices.Sort(groups)
	user.AdditionalGids = slices.Compact(groups)
	return user, nil
}

// maxID is the largest id; the kernel takes 2³²-1 for "no change".
const maxID = 1<<32 - 2

type account struct {
	name     string // empty if /etc/passwd does not know the id
	uid, gid uint32
}

// lookupUser accepts a name or a number. A number need not be in /etc/passwd.
func lookupUser(name string, files Files) (account, error) {
	if name == "" {
		name = "0"
	}
	id, numeric, err := parseID(name)
	if err != nil {
		return account{}, fmt.Errorf("user %q: %w", name, err)
	}
	found := account{uid: id}
	err = eachLine(files, "/etc/passwd", func(f []string) bool {
		if len(f) < 4 || f[0] != name && (!numeric || f[2] != name) {
			return false
		}
		uid, ok1, _ := parseID(f[2])
		gid, ok2, _ := parseID(f[3])
		if !ok1 || !ok2 {
			return false
		}
		found, numeric = account{f[0], uid, gid}, true
		return true
	})
	if err == nil && !numeric {
		err = errors.New("not in the image's /etc/passwd")
	}
	if err != nil {
		return account{}, fmt.Errorf("user %q: %w", name, err)
	}
	return found, nil
}

func lookupGroup(name string, files Files) (uint32, error) {
	id, found, err := parseID(name)
	if err == nil && !found {
		err = eachLine(files, "/etc/group", func(f []string) bool {
			if len(f) >= 3 && f[0] == name {
				id, found, _ = parseID(f[2])
			}
			return found
		})
	}
	if err == nil && !found {
		err = errors.New("not in the image's /etc/group")
	}
	if err != nil {
		return 0, fmt.Errorf("group %q: %w", name, err)
	}
	return id, nil
}

func memberships(user string, files Files) (groups []uint32, err error) {
	err = eachLine(files, "/etc/group", func(f []string) bool {
		if len(f) >= 4 && slices.Contains(strings.Split(f[3], ","), user) {
			if id, ok, _ := parseID(f[2]); ok {
				groups = append(groups, id)
			}
		}
		return false
	})
	return groups, err
}

// parseID reports whether s is a number; a number out of range is an error.
func parseID(s string) (id uint32, numeric bool, err error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if errors.Is(err, strconv.ErrSyntax) {
		return 0, false, nil
	}
	if err != nil || n < 0 || n > maxID {
		return 0, false, errors.New("id is out of range")
	}
	return uint32(n), true, nil
}

// eachLine calls f with the fields of each line until it returns true. A file
// that is not there has no lines.
func eachLine(files Files, path string, f func([]string) bool) error {
	data, err := files(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	lines := bufio.NewScanner(bytes.NewReader(data))
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if line != "" && !strings.HasPrefix(line, "#") && f(strings.Split(line, ":")) {
			return nil
		}
	}
	return lines.Err()
}

package bridge

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// A lease is one address in use. The file STATE/ADDRESS holds it as JSON.
type lease struct {
	Sandbox string     `json:"sandbox"`
	Pod     string     `json:"pod"`
	Address netip.Addr `json:"address"`
	Ports   []forward  `json:"ports,omitempty"`
}

// leases is the directory of the addresses in use. Its methods, all but lock
// and all, are called under the lock.
type leases struct {
	dir    string
	subnet netip.Prefix
	last   netip.Addr // handed out; the search goes on from here
}

// lock keeps other goroutines and other processes out until unlock.
func (l *leases) lock() (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(l.dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX)
		if err != unix.EINTR {
			break
		}
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	return func() { f.Close() }, nil
}

// gateway is the first address of the subnet; it belongs to the bridge.
func (l *leases) gateway() netip.Addr { return l.subnet.Addr().Next() }

// all reads every lease, in no order.
func (l *leases) all() ([]lease, error) {
	files, err := os.ReadDir(l.dir)
	if err != nil {
		return nil, err
	}
	var all []lease
	for _, f := range files {
		if _, err := netip.ParseAddr(f.Name()); err != nil {
			continue // the lock, or a file that a crash left unnamed
		}
		raw, err := os.ReadFile(filepath.Join(l.dir, f.Name()))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		var one lease
		if err := json.Unmarshal(raw, &one); err != nil {
			return nil, fmt.Errorf("lease %s: %w", filepath.Join(l.dir, f.Name()), err)
		}
		all = append(all, one)
	}
	return all, nil
}

// find returns fs.ErrNotExist when the sandbox has no lease.
func (l *leases) find(sandbox string) (lease, error) {
	all, err := l.all()
	if err != nil {
		return lease{}, err
	}
	for _, one := range all {
		if one.Sandbox == sandbox {
			return one, nil
		}
	}
	return lease{}, fmt.Errorf("lease of sandbox %s: %w", sandbox, fs.ErrNotExist)
}

// claim gives the sandbox an address, or the one that it has already.
func (l *leases) claim(want lease) (lease, error) {
	all, err := l.all()
	if err != nil {
		return lease{}, err
	}
	for _, one := range all {
		if one.Sandbox == want.Sandbox {
			return one, nil
		}
		if p, taken := conflict(one.Ports, want.Ports); taken {
			return lease{}, fmt.Errorf("host port %s is taken by pod %s", p, one.Pod)
		}
	}
	address, ok := l.free(all)
	if !ok {
		return lease{}, fmt.Errorf("subnet %s is full", l.subnet)
	}
	want.Address, l.last = address, address
	return want, l.write(want)
}

// free looks for an address after the last one, so that an address rests
// before it is used again.
func (l *leases) free(all []lease) (netip.Addr, bool) {
	used := map[netip.Addr]bool{l.subnet.Addr(): true, l.gateway(): true, broadcast(l.subnet): true}
	for _, one := range all {
		used[one.Address] = true
	}
	a := l.last
	for range 1 << (32 - l.subnet.Bits()) {
		if a = a.Next(); !l.subnet.Contains(a) {
			a = l.subnet.Addr()
		}
		if !used[a] {
			return a, true
		}
	}
	return netip.Addr{}, false
}

func broadcast(p netip.Prefix) netip.Addr {
	a := p.Addr().As4()
	for bit := p.Bits(); bit < 32; bit++ {
		a[bit/8] |= 0x80 >> (bit % 8)
	}
	return netip.AddrFrom4(a)
}

// write makes the lease's file appear whole, or not at all, even when the
// power fails.
func (l *leases) write(one lease) error {
	raw, err := json.Marshal(one)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(l.dir, ".lease-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if _, err := f.Write(raw); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return os.Rename(f.Name(), filepath.Join(l.dir, one.Address.String()))
}

// release returns an address; the zero lease has none.
func (l *leases) release(one lease) error {
	if !one.Address.IsValid() {
		return nil
	}
	err := os.Remove(filepath.Join(l.dir, one.Address.String()))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (l *leases) removeAll() error { return os.RemoveAll(l.dir) }

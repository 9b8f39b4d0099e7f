package etcd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// Snapshot writes the whole database, as it is at one moment, to a new file. Its
// end is a checksum of the rest, which a restore verifies.
func (s *Store) Snapshot(ctx context.Context, file string) (err error) {
	data, err := s.client.Snapshot(ctx)
	if err != nil {
		return fmt.Errorf("ask etcd for a snapshot: %w", err)
	}
	defer data.Close()
	part, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+"-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ignoreGone(os.Remove(part.Name()))) }()
	_, err = io.Copy(part, data)
	if err = errors.Join(err, part.Sync(), part.Close()); err != nil {
		return fmt.Errorf("write the snapshot %s: %w", file, err)
	}
	return os.Rename(part.Name(), file)
}

func ignoreGone(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// Defragment rewrites every member's database file without its free pages, one
// after the other. Each stands still meanwhile. It needs a client with endpoints:
// that of an embedded server can't ask for it, its socket can.
func (s *Store) Defragment(ctx context.Context) error {
	for _, m := range s.client.Endpoints() {
		if _, err := s.client.Defragment(ctx, m); err != nil {
			return fmt.Errorf("defragment etcd %s: %w", m, err)
		}
	}
	return nil
}

// Alarms are the reasons for which etcd refuses writes, such as "NOSPACE": the
// database has reached its quota. Compact and defragment it, then disarm the alarm.
func (s *Store) Alarms(ctx context.Context) ([]string, error) {
	resp, err := s.client.AlarmList(ctx)
	if err != nil {
		return nil, fmt.Errorf("ask etcd for its alarms: %w", err)
	}
	var names []string
	for _, a := range resp.Alarms {
		if a.Alarm != etcdserverpb.AlarmType_NONE {
			names = append(names, a.Alarm.String())
		}
	}
	return names, nil
}

// Disarm takes all alarms back.
func (s *Store) Disarm(ctx context.Context) error {
	_, err := s.client.AlarmDisarm(ctx, &clientv3.AlarmMember{})
	if err != nil {
		return fmt.Errorf("disarm the alarms of etcd: %w", err)
	}
	return nil
}

// Size is how many bytes the database file has, and how many of them are in use.
// The rest is free for new writes, and defragmentation gives it back.
func (s *Store) Size(ctx context.Context) (file, used int64, err error) {
	resp, err := s.client.Status(ctx, s.endpoint())
	if err != nil {
		return 0, 0, fmt.Errorf("ask etcd for its status: %w", err)
	}
	return resp.DbSize, resp.DbSizeInUse, nil
}

// endpoint is the member that is asked about itself.
func (s *Store) endpoint() string {
	if e := s.client.Endpoints(); len(e) > 0 {
		return e[0]
	}
	return ""
}

package etcd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
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

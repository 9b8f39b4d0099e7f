package embedded

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"

	"go.etcd.io/etcd/etcdutl/v3/snapshot"
	"go.etcd.io/etcd/server/v3/embed"
)

// revisionBump is how far a restored store is moved into the future: further than
// any writes that the snapshot has missed. Without it revisions would go
// backwards, and clients would take new objects for old ones.
const revisionBump = 1_000_000_000

// Restore makes the data directory dir from a snapshot, which it verifies. dir
// must not exist. All of the past counts as compacted, so that
// every watcher lists again.
func Restore(file, dir string, log *slog.Logger) error {
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("restore a snapshot to %s: it exists already (%v): move it away first", dir, err)
	}
	c := embed.NewConfig()
	err := snapshot.NewV3(zapLogger(log, new(atomic.Bool))).Restore(snapshot.RestoreConfig{
		SnapshotPath:        file,
		OutputDataDir:       dir,
		Name:                c.Name,
		InitialCluster:      c.InitialCluster,
		InitialClusterToken: c.InitialClusterToken,
		PeerURLs:            []string{c.AdvertisePeerUrls[0].String()},
		RevisionBump:        revisionBump,
		MarkCompacted:       true,
	})
	if err != nil {
		return fmt.Errorf("restore the snapshot %s to %s: %w", file, dir, err)
	}
	return nil
}

package etcd_test

import (
	"errors"
	"log/slog"
	"net/url"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/storage"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/storage/etcd"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/storage/etcd/embedded"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/storage/storagetest"
)

func start(t *testing.T, dir string) *embedded.Server {
	t.Helper()
	s, err := embedded.Start(t.Context(), embedded.Config{Dir: dir, NoSync: true, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// dial connects to a server as another process would.
func dial(t *testing.T, dir string) *clientv3.Client {
	t.Helper()
	socket := url.URL{Scheme: "unix", Path: embedded.Socket(dir)}
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{socket.String()}, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

func TestConformanceEmbedded(t *testing.T) {
	storagetest.Run(t, func(t *testing.T) storage.Store {
		s := start(t, t.TempDir())
		t.Cleanup(s.Stop)
		return s.Store()
	})
}

func TestConformanceExternal(t *testing.T) {
	storagetest.Run(t, func(t *testing.T) storage.Store {
		dir := t.TempDir()
		t.Cleanup(start(t, dir).Stop)
		return etcd.New(dial(t, dir))
	})
}

func TestDataOutlivesTheServer(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir)
	revision, err := etcd.New(s.Client).Put(t.Context(), "/registry/a", []byte("1"), 0)
	if err != nil {
		t.Fatal(err)
	}
	s.Stop()
	s = start(t, dir)
	defer s.Stop()
	got, err := etcd.New(s.Client).Get(t.Context(), "/registry/a")
	if err != nil || string(got.Value) != "1" || got.Revision != revision {
		t.Errorf("after a restart: got %s@%d (%v), want 1@%d", got.Value, got.Revision, err, revision)
	}
}

func TestASnapshotIsRestored(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir)
	store := etcd.New(dial(t, dir))
	before, err := store.Put(t.Context(), "/registry/a", []byte("1"), 0)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "snapshot.db")
	if err := store.Snapshot(t.Context(), file); err != nil {
		t.Fatal(err)
	}
	missed, err := store.Put(t.Context(), "/registry/a", []byte("2"), before)
	if err != nil {
		t.Fatal(err)
	}
	s.Stop()

	log := slog.New(slog.DiscardHandler)
	if err := embedded.Restore(file, dir, log); err == nil {
		t.Error("restore over a directory with data: no error")
	}
	restored := filepath.Join(t.TempDir(), "restored")
	if err := embedded.Restore(file, restored, log); err != nil {
		t.Fatal(err)
	}
	s = start(t, restored)
	defer s.Stop()
	store = etcd.New(s.Client)
	if got, err := store.Get(t.Context(), "/registry/a"); err != nil || string(got.Value) != "1" {
		t.Errorf("after the restore: got %s (%v), want 1", got.Value, err)
	}
	if now, err := store.Revision(t.Context()); err != nil || now <= missed {
		t.Errorf("after the restore: got revision %d (%v), want more than %d: resource versions would go backwards", now, err, missed)
	}
	if err := store.Watch(t.Context(), "/registry/", before, nil, nil); !errors.Is(err, storage.ErrCompacted) {
		t.Errorf("watch from before the restore: got %v, want ErrCompacted", err)
	}
}

// What is in the log on disk is not kept in memory as well, for members that there are not.
func TestWritesDoNotStayInMemory(t *testing.T) {
	s := start(t, t.TempDir())
	defer s.Stop()
	used := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := used()
	const writes, size = 1000, 128 << 10
	revision, value := int64(0), make([]byte, size)
	for range writes {
		var err error
		if revision, err = s.Store().Put(t.Context(), "/registry/a", value, revision); err != nil {
			t.Fatal(err)
		}
	}
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(100 * time.Millisecond) { // some are on their way to the database
		grown := used() - before
		if grown < writes*size/2 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%d KiB were written, and the heap has grown by %d KiB", writes*size>>10, grown>>10)
		}
	}
}

func TestMaintenance(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir)
	defer s.Stop()
	remote := etcd.New(dial(t, dir))
	if err := remote.Defragment(t.Context()); err != nil {
		t.Error(err)
	}
	for name, store := range map[string]*etcd.Store{"embedded": etcd.New(s.Client), "remote": remote} {
		if file, used, err := store.Size(t.Context()); err != nil || used == 0 || file < used {
			t.Errorf("%s: size: got %d of %d bytes used (%v)", name, used, file, err)
		}
		if alarms, err := store.Alarms(t.Context()); err != nil || len(alarms) != 0 {
			t.Errorf("%s: alarms: got %v (%v), want none", name, alarms, err)
		}
	}
}

func TestAFullStoreSaysSo(t *testing.T) {
	s, err := embedded.Start(t.Context(), embedded.Config{Dir: t.TempDir(), NoSync: true, Quota: 1 << 20, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Stop()
	store := etcd.New(s.Client)
	value := make([]byte, 100<<10)
	// etcd looks at the size of its file, which grows when it writes a batch out.
	for i, end := 0, time.Now().Add(30*time.Second); err == nil && time.Now().Before(end); i++ {
		_, err = store.Put(t.Context(), "/registry/"+strconv.Itoa(i), value, 0)
	}
	if !errors.Is(err, storage.ErrFull) {
		t.Errorf("write past the quota: got %v, want ErrFull", err)
	}
	if alarms, err := store.Alarms(t.Context()); err != nil || !slices.Contains(alarms, "NOSPACE") {
		t.Errorf("alarms: got %v (%v), want NOSPACE", alarms, err)
	}
}

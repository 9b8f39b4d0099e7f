package embedded

import (
	"log/slog"
	"sync/atomic"
	"testing"
)

// panicked says whether etcd's panic with these words would end the process.
func panicked(format string, args ...any) (ended bool) {
	defer func() { ended = recover() != nil }()
	zapLogger(slog.New(slog.DiscardHandler), &atomic.Bool{}).Sugar().Panicf(format, args...)
	return false
}

func TestAnElectionThatComesTooEarlyEndsNothing(t *testing.T) {
	if panicked("error scanning unapplied entries [%d, %d): %v", 1, 139, "requested index is unavailable due to compaction") {
		t.Error("raft may hold an election before it knows what is applied; the server must not end")
	}
	if !panicked("error scanning unapplied entries [%d, %d): %v", 1, 139, "disk on fire") || !panicked("tocommit(%d) is out of range", 5) {
		t.Error("etcd must not go on when it can't")
	}
}

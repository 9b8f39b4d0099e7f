package embedded

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// zapLogger lets etcd, which logs by zap, write to our log. What etcd says short of
// an error is for debugging here, and so is all that it says once it is told to stop, when its
// own listeners' ends are errors to it.
func zapLogger(log *slog.Logger, stopping *atomic.Bool) *zap.Logger {
	return zap.New(core{log.With("from", "etcd"), stopping}, zap.WithPanicHook(panics{}))
}

// panics are etcd's ways to end the process: all but one. When a server starts again, raft
// may look for an election at the entries that it does not know to be applied, while
// etcd has applied them and let them go; that happens on a machine which is so busy that an election
// is due before the log is read. What raft looks for there, members that come or go, a
// store with one member does not have: it may go on.
type panics struct{}

var _ zapcore.CheckWriteHook = panics{}

// OnWrite implements zapcore.CheckWriteHook.
func (panics) OnWrite(e *zapcore.CheckedEntry, _ []zapcore.Field) {
	early := strings.HasPrefix(e.Message, "error scanning unapplied entries") && strings.HasSuffix(e.Message, "unavailable due to compaction")
	if !early {
		panic(e.Message)
	}
}

type core struct {
	log      *slog.Logger
	stopping *atomic.Bool
}

var _ zapcore.Core = core{}

func (c core) level(l zapcore.Level) slog.Level {
	switch {
	case l < zapcore.ErrorLevel || c.stopping.Load():
		return slog.LevelDebug
	case l == zapcore.ErrorLevel: // it goes on: what ends it is returned
		return slog.LevelWarn
	}
	return slog.LevelError
}

// Enabled implements zapcore.LevelEnabler.
func (c core) Enabled(l zapcore.Level) bool { return c.log.Enabled(context.Background(), c.level(l)) }

// With implements zapcore.Core.
func (c core) With(fields []zapcore.Field) zapcore.Core {
	return core{c.log.With(attributes(fields)...), c.stopping}
}

// Check implements zapcore.Core.
func (c core) Check(e zapcore.Entry, to *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return to.AddCore(e, c)
	}
	return to
}

// Write implements zapcore.Core.
func (c core) Write(e zapcore.Entry, fields []zapcore.Field) error {
	c.log.Log(context.Background(), c.level(e.Level), e.Message, attributes(fields)...)
	return nil
}

// Sync implements zapcore.Core.
func (core) Sync() error { return nil }

func attributes(fields []zapcore.Field) []any {
	m := zapcore.NewMapObjectEncoder()
	for _, f := range fields {
		f.AddTo(m)
	}
	var attrs []any
	for k, v := range m.Fields {
		attrs = append(attrs, slog.Any(k, v))
	}
	return attrs
}

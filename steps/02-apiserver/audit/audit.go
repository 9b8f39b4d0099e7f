// Package audit writes down who has asked for what, and what the answer was.
//
// Each line of the log is one event in JSON, in the format of upstream's log
// backend (audit.k8s.io/v1), at the level Metadata: everything about a request but
// what was in it. Bodies hold secrets, and a log has more readers than the store.
//
// See https://kubernetes.io/docs/tasks/debug/debug-cluster/audit.
package audit

import (
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/uuid"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/server"
)

// Header carries the id of the request's events, both ways.
const Header = "Audit-Id"

// A Log is a server.Observer that writes events.
type Log struct {
	Out io.Writer
	Log *slog.Logger // of what could not be written
	Now func() time.Time

	mu sync.Mutex // one line at a time
}

var _ server.Observer = (*Log)(nil)

// Observe implements server.Observer. The first stage only gives the request its
// id, and what is about no resource (health, metrics, discovery) is left out, or the log
// would hold little else.
func (l *Log) Observe(stage server.Stage, e *server.Exchange) {
	if stage == server.Received {
		id := e.Request.Header.Get(Header)
		if id == "" || len(id) > 64 {
			id = string(uuid.NewUUID())
		}
		e.Headers.Set(Header, id)
		return
	}
	if !e.Info.IsResourceRequest {
		return
	}
	line, err := json.Marshal(l.event(stage, e))
	if err == nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		_, err = l.Out.Write(append(line, '\n'))
	}
	if err != nil {
		l.Log.Error("an audit event could not be written", "path", e.URL.Path, "error", err)
	}
}

func (l *Log) event(stage server.Stage, e *server.Exchange) *auditv1.Event {
	event := &auditv1.Event{
		TypeMeta: metav1.TypeMeta{APIVersion: auditv1.SchemeGroupVersion.String(), Kind: "Event"},
		Level:    auditv1.LevelMetadata, Stage: auditv1.Stage(stage),
		AuditID:    types.UID(e.Headers.Get(Header)),
		RequestURI: e.URL.RequestURI(), Verb: e.Info.Verb, UserAgent: e.UserAgent(),
		ObjectRef: &auditv1.ObjectReference{Resource: e.Info.Resource, Namespace: e.Info.Namespace, Name: e.Info.Name,
			APIGroup: e.Info.APIGroup, APIVersion: e.Info.APIVersion, Subresource: e.Info.Subresource},
		ResponseStatus:           &metav1.Status{Code: int32(e.Code)},
		RequestReceivedTimestamp: metav1.NewMicroTime(e.Received),
		StageTimestamp:           metav1.NewMicroTime(l.Now()),
	}
	if host, _, err := net.SplitHostPort(e.RemoteAddr); err == nil {
		event.SourceIPs = []string{host}
	}
	if e.User != nil {
		event.User = *userInfo(e.User)
	}
	if e.As != nil {
		event.ImpersonatedUser = userInfo(e.As)
	}
	return event
}

func userInfo(who user.Info) *authenticationv1.UserInfo {
	info := &authenticationv1.UserInfo{Username: who.GetName(), UID: who.GetUID(), Groups: who.GetGroups()}
	for k, v := range who.GetExtra() {
		if info.Extra == nil {
			info.Extra = map[string]authenticationv1.ExtraValue{}
		}
		info.Extra[k] = v
	}
	return info
}

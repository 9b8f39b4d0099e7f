package server

import (
	"context"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"

	"golang.org/x/net/websocket"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/cache"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/registry"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/resource"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/wire"
)

const (
	// bookmarkEvery is how old a client's resource version grows on a quiet resource.
	bookmarkEvery = time.Minute

	// patience is how long a client may take to read an event. Who is not there any
	// more must not hold a connection for ever.
	patience = time.Minute

	// A watch ends after between one and two of these, so that not all clients of a
	// server that was restarted come back at once for ever.
	watchFor = 30 * time.Minute
)

// watch answers with a stream of events.
func (s *Server) watch(w http.ResponseWriter, q *request) error {
	o, err := q.listOptions()
	if err != nil {
		return err
	}
	events, err := q.endpoint.registry.Watch(q.Context(), q.namespace, o)
	if err != nil {
		return err
	}
	defer events.Close()
	include, err := q.include()
	if err != nil {
		return err
	}
	life := watchFor + rand.N(watchFor)
	if o.TimeoutSeconds != nil && *o.TimeoutSeconds > 0 {
		life = time.Duration(*o.TimeoutSeconds) * time.Second
	}
	ctx, cancel := context.WithTimeout(q.Context(), life)
	defer cancel()
	defer context.AfterFunc(s.stopping, cancel)()
	stream := &stream{request: q, include: include, bookmarks: o.AllowWatchBookmarks}
	if q.out.media == wire.YAML {
		stream.out.media = wire.JSON
	}
	if strings.EqualFold(q.Header.Get("Upgrade"), "websocket") {
		websocket.Server{Handler: func(ws *websocket.Conn) {
			go func() { // a client that says anything, even goodbye, has left
				ws.Read(make([]byte, 1))
				cancel()
			}()
			stream.send = func(frame []byte) error { return websocket.Message.Send(ws, string(frame)) } // as text
			if stream.out.media == wire.Protobuf {
				stream.send = func(frame []byte) error { return websocket.Message.Send(ws, frame) }
			}
			stream.late = newLookout(patience, func() { _ = ws.SetWriteDeadline(time.Unix(1, 0)) })
			defer stream.late.close()
			stream.run(ctx, events)
		}}.ServeHTTP(w, q.Request)
		return nil
	}
	w.Header().Set("Content-Type", string(stream.out.media)+streamParameter(stream.out.media))
	w.Header().Set("Cache-Control", "no-cache, private")
	w.WriteHeader(http.StatusOK)
	out := http.NewResponseController(w)
	stream.send = func(frame []byte) error { _, err := w.Write(frame); return err }
	stream.flush = out.Flush
	stream.late = newLookout(patience, func() { _ = out.SetWriteDeadline(time.Unix(1, 0)) }) // where it is not supported, there is no network
	defer stream.late.close()
	if stream.flush() == nil {
		stream.run(ctx, events)
	}
	return nil
}

func streamParameter(m wire.Media) string {
	if m == wire.Protobuf {
		return ";stream=watch"
	}
	return ""
}

// A stream writes the events of one watch to one client. One goroutine uses it.
type stream struct {
	*request
	include   metav1.IncludeObjectPolicy
	bookmarks bool
	headed    bool // the columns of the table have been sent

	send  func(frame []byte) error // frames are not changed afterwards
	flush func() error             // nil if send does
	late  *lookout                 // ends both if they take too long; nil if never
}

// run writes until the client leaves, the time is over, the server stops, or the client is
// so slow that events had to be dropped: then it is told, and lists again.
//
// Whatever there is to do wakes it by the same token: a thousand of these wait for the same
// event, and a choice of several channels costs each a lock that all of them share.
func (s *stream) run(ctx context.Context, events *registry.Watch) {
	var due atomic.Bool
	every := bookmarkEvery + rand.N(bookmarkEvery/10)
	bookmark := time.AfterFunc(every, func() { due.Store(true); events.Poke() })
	defer bookmark.Stop()
	defer context.AfterFunc(ctx, events.Poke)()
	for {
		batch, revision, more, err := events.Next()
		if err != nil {
			s.write(watch.Error, nil, statusOf(err))
			return
		}
		if s.events(batch) != nil {
			return
		}
		<-more
		if ctx.Err() != nil {
			if s.bookmarks && s.Context().Err() == nil { // from where to watch again
				s.events([]registry.Event{{Type: watch.Bookmark, Revision: revision}})
			}
			return
		}
		if due.Swap(false) {
			bookmark.Reset(every)
			if s.bookmarks && s.events([]registry.Event{{Type: watch.Bookmark, Revision: revision}}) != nil {
				return
			}
		}
	}
}

// events writes events, and sees to it that they leave.
func (s *stream) events(batch []registry.Event) error {
	if s.late != nil {
		defer s.late.end()
	}
	for _, e := range batch {
		if e.Type == watch.Bookmark && !s.bookmarks {
			continue
		}
		if s.late != nil {
			s.late.begin() // for each: all that there is may take long on a slow line
		}
		if err := s.event(e); err != nil {
			return err
		}
	}
	if s.flush == nil || len(batch) == 0 {
		return nil
	}
	return s.flush()
}

func (s *stream) event(e registry.Event) error {
	item := e.Item
	if item == nil {
		item = bookmarkOf(s.endpoint.New(), e)
	}
	kind := metav1.SchemeGroupVersion
	kind.Version = s.out.version
	switch s.out.form {
	case asTable:
		meta := metav1.ListMeta{ResourceVersion: item.Object.GetResourceVersion()}
		t := table(&s.endpoint.Resource, []*cache.Item{item}, meta, s.include, s.out.version)
		if s.headed {
			t.ColumnDefinitions = nil
		}
		s.headed = true
		return s.encode(e.Type, t, kind.WithKind("Table"))
	case asPartial:
		return s.encode(e.Type, partial(item.Object, s.out.version), kind.WithKind(string(asPartial)))
	}
	if e.Frames == nil {
		return s.write(e.Type, item, nil)
	}
	frame, err := e.Frames.Get(&item.Body, s.out.media, string(e.Type), s.endpoint.GroupVersionKind)
	if err != nil {
		return err
	}
	return s.send(frame)
}

func (s *stream) encode(t watch.EventType, obj runtime.Object, kind schema.GroupVersionKind) error {
	obj.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{})
	return s.frame(t, &wire.Body{Object: obj}, kind)
}

// write sends an item, of which the bytes are shared with all other watchers, or
// the status that ends the watch.
func (s *stream) write(t watch.EventType, item *cache.Item, status *metav1.Status) error {
	if status == nil {
		return s.frame(t, &item.Body, s.endpoint.GroupVersionKind)
	}
	err := s.encode(t, status, statusKind)
	if err == nil && s.flush != nil {
		err = s.flush()
	}
	return err
}

func (s *stream) frame(t watch.EventType, body *wire.Body, kind schema.GroupVersionKind) error {
	frame, err := body.Event(s.out.media, string(t), kind)
	if err != nil {
		return err
	}
	return s.send(frame)
}

// bookmarkOf is an object that says nothing but how far the watch has come.
func bookmarkOf(obj resource.Object, e registry.Event) *cache.Item {
	if e.Initial {
		obj.SetAnnotations(map[string]string{metav1.InitialEventsAnnotationKey: strconv.FormatBool(true)})
	}
	return cache.NewItem("", e.Revision, obj)
}

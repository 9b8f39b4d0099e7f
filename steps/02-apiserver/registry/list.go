package registry

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/cache"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/storage"
)

// A Page is a list, or a part of one.
type Page struct {
	Items     []*cache.Item
	Revision  int64
	Continue  string // empty on the last page
	Remaining *int64 // nil where it is not known
}

// List answers a list by the rules of
// https://kubernetes.io/docs/reference/using-api/api-concepts/#semantics-for-get-and-list.
// o has been validated.
func (r *Registry) List(ctx context.Context, namespace string, o *internalversion.ListOptions) (*Page, error) {
	s, err := r.selection(namespace, o)
	if err != nil {
		return nil, err
	}
	if o.Continue != "" {
		return r.listOn(ctx, s, o)
	}
	revision, err := parseVersion(o.ResourceVersion)
	if err != nil {
		return nil, err
	}
	match := o.ResourceVersionMatch
	if match == "" && revision > 0 && o.Limit > 0 {
		match = metav1.ResourceVersionMatchExact // as it was before there was a match to choose
	}
	switch {
	case match == metav1.ResourceVersionMatchExact:
		return r.listStored(ctx, s, storage.ListOptions{Revision: revision, Limit: o.Limit})
	case o.ResourceVersion == "":
		err = r.fresh(ctx)
	default:
		err = r.wait(ctx, revision)
	}
	if err != nil {
		return nil, err
	}
	limit := o.Limit
	if o.ResourceVersion == "0" {
		limit = 0 // the whole of the cache costs less than to come again
	}
	return r.listCached(s, limit), nil
}

// listCached takes the page from the cache.
func (r *Registry) listCached(s *selection, limit int64) *Page {
	state := r.Cache.Snapshot()
	page := &Page{Revision: state.Revision}
	var remaining int64
	state.Ascend(s.prefix, func(item *cache.Item) bool {
		switch {
		case !s.matches(item):
		case limit > 0 && int64(len(page.Items)) == limit:
			remaining++
			return s.all() // who wants to know how many there are
		default:
			page.Items = append(page.Items, item)
		}
		return true
	})
	r.more(page, s, remaining)
	return page
}

// more says in the page where the next one begins.
func (r *Registry) more(page *Page, s *selection, remaining int64) {
	if remaining == 0 {
		return
	}
	last := page.Items[len(page.Items)-1].Key
	page.Continue = token{Revision: page.Revision, Start: strings.TrimPrefix(last, s.prefix) + "\x00"}.String()
	if s.all() {
		page.Remaining = &remaining
	}
}

// listOn takes the next page of a list that was begun earlier.
func (r *Registry) listOn(ctx context.Context, s *selection, o *internalversion.ListOptions) (*Page, error) {
	t, err := parseToken(o.Continue)
	if err != nil {
		return nil, apierrors.NewBadRequest("invalid continue token: " + err.Error())
	}
	if o.ResourceVersion != "" && o.ResourceVersion != "0" {
		return nil, apierrors.NewBadRequest("specifying resource version is not allowed when using continue")
	}
	page, err := r.listStored(ctx, s, storage.ListOptions{Revision: max(t.Revision, 0), Start: s.prefix + t.Start, Limit: o.Limit})
	if apierrors.IsResourceExpired(err) {
		return nil, expired(t.Start)
	}
	return page, err
}

// chunk is how many records are read at once to find a page of those that are
// asked for.
const chunk = 500

// listStored takes the page from the store, as of a revision.
func (r *Registry) listStored(ctx context.Context, s *selection, o storage.ListOptions) (*Page, error) {
	page := &Page{}
	limit := o.Limit
	if !s.all() && limit > 0 {
		o.Limit = max(limit, chunk)
	}
	for {
		got, err := r.Store.List(ctx, s.prefix, o)
		if errors.Is(err, storage.ErrCompacted) {
			return nil, apierrors.NewResourceExpired("The resourceVersion for the provided list is too old.")
		}
		if errors.Is(err, storage.ErrFuture) {
			if err := r.wait(ctx, o.Revision); err != nil {
				return nil, err
			}
			continue
		}
		if err != nil {
			return nil, r.status(err, "list", "")
		}
		page.Revision, o.Revision = got.Revision, got.Revision
		for i, record := range got.Records {
			if limit > 0 && int64(len(page.Items)) == limit {
				r.more(page, s, got.Remaining+int64(len(got.Records)-i))
				return page, nil
			}
			item, err := r.item(record)
			if err != nil {
				return nil, err
			}
			if s.matches(item) {
				page.Items = append(page.Items, item)
			}
			o.Start = record.Key + "\x00"
		}
		if got.Remaining == 0 || len(got.Records) == 0 {
			return page, nil
		}
		if limit > 0 && int64(len(page.Items)) == limit {
			r.more(page, s, got.Remaining)
			return page, nil
		}
	}
}

// A token is where a list continues. Revision -1 is the newest.
type token struct {
	Version  string `json:"v"`
	Revision int64  `json:"rv"`
	Start    string `json:"start"` // below the prefix of the list
}

func (t token) String() string {
	t.Version = "meta.k8s.io/v1"
	data, _ := json.Marshal(t) // of strings and a number
	return base64.RawURLEncoding.EncodeToString(data)
}

// parseToken takes nothing for granted: the token has been in a client's hands.
func parseToken(s string) (token, error) {
	var t token
	data, err := base64.RawURLEncoding.DecodeString(s)
	if err == nil {
		err = json.Unmarshal(data, &t)
	}
	switch {
	case err != nil:
		return t, fmt.Errorf("continue key is not valid: %v", err)
	case t.Version != "meta.k8s.io/v1":
		return t, fmt.Errorf("continue key is not valid: server does not recognize this encoded version %v", t.Version)
	case t.Revision == 0 || t.Revision < -1:
		return t, errors.New("continue key is not valid: incorrect encoded start resourceVersion (version meta.k8s.io/v1)")
	case t.Start == "":
		return t, errors.New("continue key is not valid: encoded start key empty (version meta.k8s.io/v1)")
	case path.Clean("/"+t.Start) != "/"+t.Start:
		return t, fmt.Errorf("continue key is not valid: %s", t.Start)
	}
	return t, nil
}

// A selection is the objects that a request is about.
type selection struct {
	prefix   string
	labels   labels.Selector // nil selects all
	fields   fields.Selector
	fieldsOf func(*cache.Item) fields.Set
}

// selection checks the selectors. Fields that the row does not have are an error,
// because nothing would ever match.
func (r *Registry) selection(namespace string, o *internalversion.ListOptions) (*selection, error) {
	s := &selection{prefix: r.scope(namespace), fieldsOf: func(i *cache.Item) fields.Set { return i.Fields(r.fieldsOf) }}
	if o.LabelSelector != nil && !o.LabelSelector.Empty() {
		s.labels = o.LabelSelector
	}
	if o.FieldSelector == nil || o.FieldSelector.Empty() {
		return s, nil
	}
	s.fields = o.FieldSelector
	known := r.fieldsOf(r.Row.New())
	for _, q := range s.fields.Requirements() {
		if _, ok := known[q.Field]; !ok {
			return nil, r.notSelectable(q.Field)
		}
	}
	return s, nil
}

func (r *Registry) notSelectable(label string) error {
	if r.Row.Fields != nil {
		return apierrors.NewBadRequest("field label not supported: " + label)
	}
	return apierrors.NewBadRequest(fmt.Sprintf(`%q is not a known field selector: only "metadata.name", "metadata.namespace"`, label))
}

func (s *selection) all() bool { return s.labels == nil && s.fields == nil }

func (s *selection) matches(item *cache.Item) bool {
	return (s.labels == nil || s.labels.Matches(labels.Set(item.Object.GetLabels()))) &&
		(s.fields == nil || s.fields.Matches(s.fieldsOf(item)))
}

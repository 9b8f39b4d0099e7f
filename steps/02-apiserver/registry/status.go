package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/storage"
)

// changed is what a client reads who has lost a race.
var errChanged = errors.New("the object has been modified; please apply your changes to the latest version and try again")

// status is what a client is told of an error of the store. verb is what it wanted.
func (r *Registry) status(err error, verb, name string) error {
	resource := r.Row.GroupResource()
	var known apierrors.APIStatus
	switch {
	case err == nil || errors.As(err, &known):
		return err
	case errors.Is(err, storage.ErrNotFound):
		return apierrors.NewNotFound(resource, name)
	case errors.Is(err, storage.ErrConflict):
		return apierrors.NewConflict(resource, name, errChanged)
	case errors.Is(err, storage.ErrTooLarge):
		return apierrors.NewRequestEntityTooLargeError("the store refuses an object of this size")
	case errors.Is(err, storage.ErrFull):
		return apierrors.NewInternalError(fmt.Errorf("%w: compact and defragment it, and disarm its alarm", err))
	case errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded):
		return apierrors.NewTimeoutError("request did not complete within the allotted timeout", 0)
	}
	r.Log.Warn("the store has failed", "verb", verb, "resource", resource, "name", name, "error", err)
	return apierrors.NewServerTimeout(resource, verb, 2)
}

// told is the error of somebody else than the store, as it is for the client.
func told(err error) error {
	var known apierrors.APIStatus
	if err == nil || errors.As(err, &known) {
		return err
	}
	return &apierrors.StatusError{ErrStatus: metav1.Status{Status: metav1.StatusFailure, Code: http.StatusInternalServerError, Message: err.Error()}}
}

// patience is how long a request waits for a revision that it has heard of, but
// the cache has not.
const patience = 3 * time.Second

// wait blocks until the cache has come to a revision.
func (r *Registry) wait(ctx context.Context, revision int64) error {
	if now := r.Cache.Revision(); now > 0 && now >= revision {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if r.Cache.Wait(ctx, revision) == nil {
		return nil
	}
	now := r.Cache.Revision()
	if now == 0 {
		return apierrors.NewTooManyRequests("storage is (re)initializing", 1)
	}
	err := apierrors.NewTimeoutError(fmt.Sprintf("Too large resource version: %d, current: %d", revision, now), 1)
	err.ErrStatus.Details.Causes = []metav1.StatusCause{{
		Type: metav1.CauseTypeResourceVersionTooLarge, Message: "Too large resource version"}}
	return err
}

// fresh blocks until the cache shows all that had been written.
func (r *Registry) fresh(ctx context.Context) error {
	revision, err := r.Store.Revision(ctx)
	if err != nil {
		return r.status(err, "list", "")
	}
	return r.wait(ctx, revision)
}

// expired is the answer to a list that was begun too long ago. Its token
// continues where the client was, but in today's state.
func expired(start string) error {
	err := apierrors.NewResourceExpired(strings.Join([]string{
		"The provided continue parameter is too old to display a consistent list result.",
		"You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results.",
		"Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.",
	}, " "))
	err.ErrStatus.Continue = token{Revision: -1, Start: start}.String()
	return err
}

package recorder

import (
	"context"
	"encoding/json"

	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
)

// To returns the sink that is an API server. What it answers of an event that it has
// written is not read.
func To(client kubernetes.Interface) Sink { return server{client} }

type server struct{ client kubernetes.Interface }

func (s server) Create(ctx context.Context, e *eventsv1.Event) error {
	return s.client.EventsV1().RESTClient().Post().Namespace(e.Namespace).Resource("events").Body(e).Do(ctx).Error()
}

func (s server) Patch(ctx context.Context, e *eventsv1.Event) error {
	body, err := json.Marshal(map[string]any{"series": e.Series})
	if err != nil {
		return err
	}
	return s.client.EventsV1().RESTClient().Patch(types.MergePatchType).Namespace(e.Namespace).Resource("events").Name(e.Name).Body(body).Do(ctx).Error()
}

package server_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/server/servertest"
)

// The kinds are as upstream's ReturnDeletedObject has them, in pkg/registry.
func TestADeletionAnswersAsUpstreamsDoes(t *testing.T) {
	_, conf := servertest.Start(t, servertest.Config())
	const core = "/api/v1/namespaces/default/"
	for _, c := range []struct{ path, body, kind string }{
		{core + "pods", `"spec":{"containers":[{"name":"c","image":"i"}]}`, "Pod"},
		{core + "services", `"spec":{"ports":[{"port":80}],"clusterIP":"None"}`, "Service"},
		{core + "serviceaccounts", `"secrets":[]`, "ServiceAccount"},
		{core + "podtemplates", `"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"i"}]}}`, "PodTemplate"},
		{core + "resourcequotas", `"spec":{"hard":{"pods":"1"}}`, "ResourceQuota"},
		{core + "configmaps", `"data":{}`, "Status"},
		{core + "secrets", `"data":{}`, "Status"},
		{core + "endpoints", `"subsets":[]`, "Status"},
		{core + "limitranges", `"spec":{"limits":[]}`, "Status"},
		{"/api/v1/nodes", `"spec":{}`, "Status"},
		{"/apis/coordination.k8s.io/v1/namespaces/default/leases", `"spec":{}`, "Status"},
		{"/apis/scheduling.k8s.io/v1/priorityclasses", `"value":1`, "Status"},
		{"/apis/node.k8s.io/v1/runtimeclasses", `"handler":"h"`, "Status"},
	} {
		if resp, data := send(t, conf, "POST", c.path, "", strings.NewReader(`{"metadata":{"name":"a"},`+c.body+`}`)); resp.StatusCode != http.StatusCreated {
			t.Errorf("POST %s: got %d %s", c.path, resp.StatusCode, data)
			continue
		}
		resp, data := send(t, conf, "DELETE", c.path+"/a", "", strings.NewReader(`{"gracePeriodSeconds":0}`))
		var got struct {
			Kind     string
			Metadata struct{ Name string }
			Details  struct{ Name string }
		}
		if err := json.Unmarshal(data, &got); err != nil || resp.StatusCode != http.StatusOK || got.Kind != c.kind || got.Metadata.Name+got.Details.Name != "a" {
			t.Errorf("DELETE %s: got %d %s, want a %s", c.path, resp.StatusCode, data, c.kind)
		}
	}
}

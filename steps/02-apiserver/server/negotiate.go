package server

import (
	"net/http"
	"strings"

	"github.com/munnerz/goautoneg"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/wire"
)

// A form is what a client wants to have an object shown as.
type form string

const (
	asIs      form = ""
	asTable   form = "Table"
	asPartial form = "PartialObjectMetadata" // or a list of them
)

// An output is how an answer is to be written.
type output struct {
	media   wire.Media
	form    form
	version string // of the group meta.k8s.io
	pretty  bool
}

// The media types that we write, best first.
var medias = []wire.Media{wire.JSON, wire.YAML, wire.Protobuf}

// negotiate chooses the first of what the client accepts that we can write.
// RFC 9110, section 12.5.1, and for the parameters
// https://kubernetes.io/docs/reference/using-api/api-concepts/#alternate-representations-of-resources.
func negotiate(r *http.Request) (output, error) {
	accept := r.Header.Get("Accept")
	if accept == "" {
		return output{media: wire.JSON, pretty: pretty(r)}, nil
	}
	for _, clause := range goautoneg.ParseAccept(accept) {
		media, ok := mediaOf(clause)
		if !ok {
			continue
		}
		out := output{media: media, pretty: pretty(r)}
		if as := clause.Params["as"]; as != "" {
			if clause.Params["g"] != metav1.GroupName || clause.Params["v"] != "v1" && clause.Params["v"] != "v1beta1" {
				continue
			}
			switch as {
			case "Table":
				out.form = asTable
			case "PartialObjectMetadata", "PartialObjectMetadataList":
				out.form = asPartial
			default:
				continue
			}
			out.version = clause.Params["v"]
		}
		return out, nil
	}
	return output{media: wire.JSON}, notAcceptable()
}

func notAcceptable() error {
	return statusError(http.StatusNotAcceptable, metav1.StatusReasonNotAcceptable, "only the following media types are accepted: "+names(medias))
}

func mediaOf(clause goautoneg.Accept) (wire.Media, bool) {
	for _, m := range medias {
		kind, sub, _ := strings.Cut(string(m), "/")
		if (clause.Type == kind || clause.Type == "*") && (clause.SubType == sub || clause.SubType == "*") {
			return m, true
		}
	}
	return "", false
}

// pretty says whether a person is likely to look at the answer.
func pretty(r *http.Request) bool {
	if q := r.URL.Query()["pretty"]; len(q) > 0 {
		return q[0] == "" || q[0] == "1" || q[0] == "true"
	}
	agent := r.UserAgent()
	return strings.HasPrefix(agent, "curl") || strings.HasPrefix(agent, "Wget") || strings.HasPrefix(agent, "Mozilla/5.0")
}

func names(medias []wire.Media) string {
	var s []string
	for _, m := range medias {
		s = append(s, string(m))
	}
	return strings.Join(s, ", ")
}

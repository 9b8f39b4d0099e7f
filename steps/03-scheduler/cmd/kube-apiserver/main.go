// Command kube-apiserver is that of step 02, with the rows that a scheduler reads.
package main

import (
	"os"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/apiserver"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/rows"
	scheduling "github.com/k8s-groundup/groundup/steps/03-scheduler/rows"
)

func main() {
	os.Exit(apiserver.Main(apiserver.API{
		Rows:   append(rows.All(), scheduling.All()...),
		Scheme: rows.Scheme(scheduling.AddToScheme),
	}, os.Args[1:]))
}

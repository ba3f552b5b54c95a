package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// apiServer is the command of scripts that serves a folder as an API server does, until the
// script ends, and has KUBECONFIG name it.
func apiServer(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: apiserver FOLDER")
	}
	server := serveFolder(ts.MkAbs(args[0]))
	ts.Defer(server.Close)
	file := ts.MkAbs("kubeconfig")
	ts.Check(writeKubeconfig(file, server.URL))
	ts.Setenv("KUBECONFIG", file)
	ts.Setenv("KUBECACHEDIR", ts.MkAbs("cache"))
}

// serveFolder serves the files of a folder as an API server does. GET reads PATH.json, POST
// answers PATH.post.json, by the code of a Status, and lists that have no file are empty.
func serveFolder(folder string) *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		file := folder + path.Clean(r.URL.Path) + map[string]string{http.MethodGet: ".json", http.MethodPost: ".post.json"}[r.Method]
		content, err := os.ReadFile(file)
		switch {
		case err == nil:
		case r.Method == http.MethodGet && isList(r.URL.Path):
			content = []byte(`{"kind":"List","apiVersion":"v1","items":[]}`)
		default:
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusNotFound)
			_ = json.NewEncoder(w).Encode(map[string]any{
				"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound",
				"code": 404,
			})
			return
		}
		w.Header().Set("Content-Type", "application/json")
		var status struct{ Code int }
		if json.Unmarshal(content, &status) == nil && status.Code != 0 { // a Status
			w.WriteHeader(status.Code)
		}
		_, _ = w.Write(content)
	}))
}

// writeKubeconfig writes one that names an API server.
func writeKubeconfig(file, url string) error {
	config := clientcmdapi.NewConfig()
	config.Clusters["c"] = &clientcmdapi.Cluster{Server: url}
	config.Contexts["c"] = &clientcmdapi.Context{Cluster: "c"}
	config.CurrentContext = "c"
	return clientcmd.WriteToFile(*config, file)
}

// isList reports whether a path is that of a collection: their names are plural.
func isList(p string) bool { return strings.HasSuffix(p, "s") }

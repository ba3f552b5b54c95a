// Package admissiontest makes admission reviews and injected pods for tests,
// benchmarks and the load test.
package admissiontest

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Size is a pod of a certain size, and what its annotations ask for.
type Size struct {
	Name   string
	Object string
	// Patched says whether the annotations ask for something.
	Patched bool
}

// Review is the admission review of the pod's creation.
func (s *Size) Review() []byte { return Review("CREATE", "", s.Object, "null") }

// Sizes are the pods that speed is measured with: some that ask for a token for
// all containers, and one that does not.
func Sizes() []Size {
	asking := map[string]string{prefix + "audience": vault}
	return []Size{
		{"plain-2KB", PlainPod(asking), true},
		{"small-3KB", Pod(1, asking), true},
		{"medium-11KB", Pod(6, asking), true},
		{"large-77KB", Pod(50, asking), true},
		{"passthrough-11KB", Pod(6, map[string]string{"example.com/other": "x"}), false},
	}
}

// Review is an AdmissionReview as the API server writes it, about a pod in
// namespace default. Objects are JSON; "null" stands for none.
func Review(operation, subResource, object, oldObject string) []byte {
	return []byte(`{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"7f0a6c2e-3d5b-4f0e-9a51-0c6f6f0e7a11",` +
		`"kind":{"group":"","version":"v1","kind":"Pod"},"resource":{"group":"","version":"v1","resource":"pods"},"subResource":"` +
		subResource + `",` +
		`"requestKind":{"group":"","version":"v1","kind":"Pod"},"requestResource":{"group":"","version":"v1","resource":"pods"},` +
		`"name":"app","namespace":"default","operation":"` + operation +
		`","userInfo":{"username":"alice","groups":["system:authenticated"]},` +
		`"object":` + object + `,"oldObject":` + oldObject +
		`,"dryRun":false,"options":{"kind":"CreateOptions","apiVersion":"meta.k8s.io/v1"}}}`)
}

// PlainPod is a pod of one container that says next to nothing, as the API server
// sends it to webhooks, with its defaults filled in.
func PlainPod(annotations map[string]string) string {
	return pod(annotations, `{"name":"app","image":"registry.example/team/app:1.0.0","resources":{},`+
		`"volumeMounts":[{"name":"kube-api-access-x7k2p","readOnly":true,"mountPath":"/var/run/secrets/kubernetes.io/serviceaccount"}],`+
		`"terminationMessagePath":"/dev/termination-log","terminationMessagePolicy":"File","imagePullPolicy":"IfNotPresent"}`)
}

// Pod is a pod of a ReplicaSet as the API server sends it to webhooks, with its
// defaults filled in. A container takes about 1.5 kB.
func Pod(containers int, annotations map[string]string) string {
	var list []string
	for i := range containers {
		list = append(list, fmt.Sprintf(`{"name":"app-%d","image":"registry.example/team/app:1.%d.0","command":["/bin/app"],
		"args":["--listen=:8080","--log-level=info"],
"ports":[{"name":"http","containerPort":8080,"protocol":"TCP"}],
"env":[{"name":"POD_NAME","valueFrom":{"fieldRef":{"apiVersion":"v1","fieldPath":"metadata.name"}}},{"name":"LOG_FORMAT","value":"json"},
{"name":"DATABASE_URL","value":"postgres://db.example:5432/app?sslmode=verify-full"},{"name":"FEATURES","value":"a,b,c,d,e,f"},
{"name":"REGION","value":"eu-central-1"}],
"resources":{"limits":{"cpu":"1","memory":"512Mi"},"requests":{"cpu":"100m","memory":"128Mi"}},
"volumeMounts":[{"name":"data","mountPath":"/data"},{"name":"kube-api-access-x7k2p","readOnly":true,
"mountPath":"/var/run/secrets/kubernetes.io/serviceaccount"}],
"livenessProbe":{"httpGet":{"path":"/healthz","port":8080,"scheme":"HTTP"},"timeoutSeconds":1,"periodSeconds":10,"successThreshold":1,
"failureThreshold":3},
"startupProbe":{"httpGet":{"path":"/healthz","port":8080,"scheme":"HTTP"},"timeoutSeconds":1,"periodSeconds":1,"successThreshold":1,
"failureThreshold":60},
"lifecycle":{"preStop":{"sleep":{"seconds":5}}},
"readinessProbe":{"httpGet":{"path":"/readyz","port":8080,"scheme":"HTTP"},"timeoutSeconds":1,"periodSeconds":10,"successThreshold":1,
"failureThreshold":3},
"terminationMessagePath":"/dev/termination-log","terminationMessagePolicy":"File","imagePullPolicy":"IfNotPresent",
"securityContext":{"capabilities":{"drop":["ALL"]},"readOnlyRootFilesystem":true,"allowPrivilegeEscalation":false}}`, i, i))
	}
	return pod(annotations, list...)
}

func pod(annotations map[string]string, containers ...string) string {
	written, err := json.Marshal(annotations)
	if err != nil {
		panic(err) // a map of strings always marshals
	}
	return strings.ReplaceAll(`{"kind":"Pod","apiVersion":"v1","metadata":{"generateName":"app-5d9c7b9f4-","namespace":"default",`+
		`"labels":{"app":"app","pod-template-hash":"5d9c7b9f4"},"annotations":{`+strings.Trim(string(written), "{}")+
		`},"ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"app-5d9c7b9f4",
		"uid":"0a6d5c1e-3f52-4b0e-9d2a-6a1f1f6b7c11","controller":true,"blockOwnerDeletion":true}]},
"spec":{"volumes":[{"name":"data","emptyDir":{}},{"name":"kube-api-access-x7k2p",
"projected":{"sources":[{"serviceAccountToken":{"expirationSeconds":3607,"path":"token"}},{"configMap":{"name":"kube-root-ca.crt",
"items":[{"key":"ca.crt","path":"ca.crt"}]}},{"downwardAPI":{"items":[{"path":"namespace","fieldRef":{"apiVersion":"v1",
"fieldPath":"metadata.namespace"}}]}}],"defaultMode":420}}],
"containers":[`+strings.Join(containers, ",")+`],"restartPolicy":"Always","terminationGracePeriodSeconds":30,"dnsPolicy":"ClusterFirst",`+
		`"serviceAccountName":"default","serviceAccount":"default","securityContext":{"runAsNonRoot":true,`+
		`"seccompProfile":{"type":"RuntimeDefault"}},"schedulerName":"default-scheduler",`+
		`"tolerations":[{"key":"node.kubernetes.io/not-ready","operator":"Exists","effect":"NoExecute","tolerationSeconds":300},`+
		`{"key":"node.kubernetes.io/unreachable","operator":"Exists","effect":"NoExecute","tolerationSeconds":300}],"priority":0,`+
		`"enableServiceLinks":true,"preemptionPolicy":"PreemptLowerPriority"},"status":{}}`, "\n", "")
}

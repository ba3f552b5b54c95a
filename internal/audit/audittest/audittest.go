// Package audittest is an API server for tests of the audit: it speaks the list
// and watch protocol for namespaces and pods, as far as the audit uses it, and
// has ReplicaSets and takes Leases and Events.
package audittest

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"
)

// Server is the API server.
type Server struct {
	// URL is where it listens.
	URL string

	http *http.Server

	mu      sync.Mutex
	changed *sync.Cond
	version int
	objects map[string]map[string]object  // by resource, then namespace/name
	sets    map[string]*appsv1.ReplicaSet // by namespace/name
	log     []change
	oldest  int // watches from before this version are told that it has expired
	bulk    int
	make    func(i int) *corev1.Pod
	lease   *coordinationv1.Lease
	events  []eventsv1.Event
	calls   map[string]int
	fail    map[string]failing
	epoch   int // watches of another one end
}

type failing struct{ times, code int }

// object is a namespace or a pod.
type object struct {
	meta  metav1.ObjectMeta
	phase corev1.PodPhase
	full  any
}

// change is what a watch sends.
type change struct {
	resource string
	version  int
	old, new *object
}

// The resources.
const (
	pods       = "pods"
	namespaces = "namespaces"
)

// Start starts it on the loopback.
func Start() (*Server, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("could not listen: %w", err)
	}
	s := &Server{
		URL: "http://" + listener.Addr().String(), version: 1, calls: map[string]int{}, fail: map[string]failing{},
		objects: map[string]map[string]object{pods: {}, namespaces: {}}, sets: map[string]*appsv1.ReplicaSet{},
	}
	s.changed = sync.NewCond(&s.mu)
	s.http = &http.Server{Handler: s.handler(), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = s.http.Serve(listener) }() // until it is closed
	return s, nil
}

// Close ends it.
func (s *Server) Close() {
	_ = s.http.Close()
	s.EndWatches()
}

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	handle := func(pattern, call string, f http.HandlerFunc) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			call := call
			if r.URL.Query().Get("watch") != "" {
				call = strings.Replace(call, "list", "watch", 1)
			}
			if code := s.failure(call); code != 0 {
				status(w, code, reasonOf(code))
				return
			}
			f(w, r)
		})
	}
	handle("GET /api/v1/namespaces", "list namespaces", s.list(namespaces))
	handle("GET /api/v1/pods", "list pods", s.list(pods))
	handle("GET /api/v1/namespaces/{namespace}/pods", "list pods of a namespace", s.list(pods))
	handle("GET /api/v1/namespaces/{namespace}/pods/{name}", "get pod", s.get)
	handle("GET /apis/apps/v1/namespaces/{namespace}/replicasets/{name}", "get replicaset", s.getReplicaSet)
	const leases = "/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
	handle("GET "+leases+"/{name}", "get lease", s.getLease)
	handle("PATCH "+leases+"/{name}", "apply lease", s.applyLease)
	handle("PUT "+leases+"/{name}", "update lease", s.putLease)
	handle("POST /apis/events.k8s.io/v1/namespaces/{namespace}/events", "create event", s.createEvent)
	return mux
}

// reasonOf is the reason that an API server gives with a code.
func reasonOf(code int) metav1.StatusReason {
	if code == http.StatusForbidden {
		return metav1.StatusReasonForbidden
	}
	return metav1.StatusReasonUnknown
}

// failure counts a call and returns the code that it has to fail with, or 0.
func (s *Server) failure(call string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls[call]++
	f := s.fail[call]
	if f.times == 0 {
		return 0
	}
	s.fail[call] = failing{f.times - 1, f.code}
	return f.code
}

// Fail makes the next calls fail with an HTTP status, such as "list pods",
// "watch pods" or "get pod".
func (s *Server) Fail(call string, times, code int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail[call] = failing{times, code}
}

// Calls is how often something was called.
func (s *Server) Calls(call string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[call]
}

// Events are those that were created.
func (s *Server) Events() []eventsv1.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.events)
}

// Namespace creates a namespace, or sets its labels.
func (s *Server) Namespace(name string, l map[string]string) {
	s.set(namespaces, name, &object{meta: metav1.ObjectMeta{Name: name, UID: types.UID(name), Labels: l}})
}

// Pod creates or updates a pod.
func (s *Server) Pod(pod *corev1.Pod) {
	pod = pod.DeepCopy()
	pod.APIVersion, pod.Kind = "v1", "Pod"
	s.set(pods, pod.Namespace+"/"+pod.Name, &object{meta: pod.ObjectMeta, phase: pod.Status.Phase, full: pod})
}

// ReplicaSet creates one that selects pods by these labels.
func (s *Server) ReplicaSet(namespace, name string, uid types.UID, selected map[string]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	set := &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: uid}}
	set.Spec.Selector = &metav1.LabelSelector{MatchLabels: selected}
	s.sets[namespace+"/"+name] = set
}

// Delete deletes a pod.
func (s *Server) Delete(namespace, name string) { s.set(pods, namespace+"/"+name, nil) }

// Bulk adds n pods, which are made each time that they are listed.
func (s *Server) Bulk(n int, of func(i int) *corev1.Pod) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bulk, s.make = n, of
}

func (s *Server) set(resource, key string, o *object) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version++
	c := change{resource: resource, version: s.version, new: o}
	if old, ok := s.objects[resource][key]; ok {
		c.old = &old
	}
	if o == nil {
		delete(s.objects[resource], key)
	} else {
		o.meta.ResourceVersion = strconv.Itoa(s.version)
		s.objects[resource][key] = *o
	}
	s.log = append(s.log, c)
	s.changed.Broadcast()
}

// Forget makes all versions so far too old to watch from, and ends the watches.
func (s *Server) Forget() {
	s.mu.Lock()
	s.version++
	s.oldest = s.version
	s.mu.Unlock()
	s.EndWatches()
}

// EndWatches ends all watches, as an API server does now and then.
func (s *Server) EndWatches() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.epoch++
	s.changed.Broadcast()
}

// Bookmark sends the watches their resource version.
func (s *Server) Bookmark() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version++
	s.log = append(s.log, change{version: s.version})
	s.changed.Broadcast()
}

// selection is what a list or watch asks for.
type selection struct {
	resource, namespace string
	labels              labels.Selector
	unfinished          bool
}

func (q *selection) has(o *object) bool {
	if o == nil {
		return false
	}
	finished := o.phase == corev1.PodSucceeded || o.phase == corev1.PodFailed
	return (q.namespace == "" || q.namespace == o.meta.Namespace) && q.labels.Matches(labels.Set(o.meta.Labels)) &&
		(!q.unfinished || !finished)
}

func (s *Server) list(resource string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		query := r.URL.Query()
		selector, err := labels.Parse(query.Get("labelSelector"))
		if err != nil {
			status(w, http.StatusBadRequest, metav1.StatusReasonBadRequest)
			return
		}
		q := selection{
			resource: resource, namespace: r.PathValue("namespace"), labels: selector,
			unfinished: query.Get("fieldSelector") == "status.phase!=Succeeded,status.phase!=Failed",
		}
		if query.Get("watch") != "" {
			s.watch(w, r, &q)
			return
		}
		limit, _ := strconv.Atoi(query.Get("limit"))
		offset, _ := strconv.Atoi(query.Get("continue"))
		writeList(w, r, s.page(&q, offset, limit))
	}
}

// page returns a part of what is selected, the bulk behind the rest.
func (s *Server) page(q *selection, offset, limit int) *metav1.PartialObjectMetadataList {
	s.mu.Lock()
	defer s.mu.Unlock()
	var single []object
	for _, o := range s.objects[q.resource] {
		if q.has(&o) {
			single = append(single, o)
		}
	}
	slices.SortFunc(single, func(a, b object) int { return strings.Compare(a.meta.Name, b.meta.Name) })
	total := len(single)
	if q.resource == pods {
		total += s.bulk
	}
	end := total
	if limit > 0 {
		end = min(total, offset+limit)
	}
	list := &metav1.PartialObjectMetadataList{}
	list.APIVersion, list.Kind = "meta.k8s.io/v1", "PartialObjectMetadataList"
	list.ResourceVersion = strconv.Itoa(s.version)
	for i := offset; i < end; i++ {
		var meta metav1.ObjectMeta
		if i < len(single) {
			meta = single[i].meta
		} else {
			meta = s.make(i - len(single)).ObjectMeta
		}
		list.Items = append(list.Items, partial(&meta))
	}
	if end < total {
		list.Continue = strconv.Itoa(end)
	}
	return list
}

func partial(meta *metav1.ObjectMeta) metav1.PartialObjectMetadata {
	return metav1.PartialObjectMetadata{
		TypeMeta: metav1.TypeMeta{APIVersion: "meta.k8s.io/v1", Kind: "PartialObjectMetadata"}, ObjectMeta: *meta,
	}
}

// writeList writes protobuf where the client takes it, as a real one does.
func writeList(w http.ResponseWriter, r *http.Request, list *metav1.PartialObjectMetadataList) {
	if strings.Contains(r.Header.Get("Accept"), "application/vnd.kubernetes.protobuf") {
		w.Header().Set("Content-Type", "application/vnd.kubernetes.protobuf")
		_ = protobuf.NewSerializer(scheme.Scheme, scheme.Scheme).Encode(list, w) // a client that went away asks again
		return
	}
	write(w, http.StatusOK, list)
}

// watch sends all changes since a version, until it is ended.
func (s *Server) watch(w http.ResponseWriter, r *http.Request, q *selection) {
	since, err := strconv.Atoi(r.URL.Query().Get("resourceVersion"))
	s.mu.Lock()
	epoch, oldest := s.epoch, s.oldest
	s.mu.Unlock()
	if err != nil || since < oldest {
		status(w, http.StatusGone, metav1.StatusReasonExpired)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	flush(w)
	stop := make(chan struct{})
	defer close(stop)
	go func() { // a client that goes away is no change
		select {
		case <-r.Context().Done():
			s.mu.Lock()
			s.changed.Broadcast()
			s.mu.Unlock()
		case <-stop:
		}
	}()
	encoder := json.NewEncoder(w)
	for {
		s.mu.Lock()
		for s.epoch == epoch && r.Context().Err() == nil && s.version <= since {
			s.changed.Wait()
		}
		ended := s.epoch != epoch || r.Context().Err() != nil
		var told []metav1.WatchEvent
		for _, c := range s.log {
			if c.version > since {
				told = append(told, c.event(q)...)
			}
		}
		since = s.version
		s.mu.Unlock()
		if ended {
			return
		}
		for _, event := range told {
			if encoder.Encode(event) != nil {
				return
			}
		}
		flush(w)
	}
}

func flush(w http.ResponseWriter) { _ = http.NewResponseController(w).Flush() }

// event is what a change means to those who selected something.
func (c *change) event(q *selection) []metav1.WatchEvent {
	object, kind := c.new, ""
	switch before, after := q.has(c.old), q.has(c.new); {
	case c.old == nil && c.new == nil:
		kind, object = "BOOKMARK", &nothing
	case c.resource != q.resource:
	case before && after:
		kind = "MODIFIED"
	case after:
		kind = "ADDED"
	case before:
		kind, object = "DELETED", c.old
	}
	if kind == "" {
		return nil
	}
	meta := object.meta
	meta.ResourceVersion = strconv.Itoa(c.version)
	item := partial(&meta)
	raw, err := json.Marshal(item)
	if err != nil {
		return nil
	}
	return []metav1.WatchEvent{{Type: kind, Object: runtime.RawExtension{Raw: raw}}}
}

var nothing object

func (s *Server) get(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	o, ok := s.objects[pods][r.PathValue("namespace")+"/"+r.PathValue("name")]
	for i := 0; !ok && i < s.bulk; i++ {
		if pod := s.make(i); pod.Name == r.PathValue("name") {
			o, ok = object{full: pod}, true
		}
	}
	s.mu.Unlock()
	if !ok {
		status(w, http.StatusNotFound, metav1.StatusReasonNotFound)
		return
	}
	write(w, http.StatusOK, o.full)
}

func (s *Server) getReplicaSet(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	set, ok := s.sets[r.PathValue("namespace")+"/"+r.PathValue("name")]
	s.mu.Unlock()
	if !ok {
		status(w, http.StatusNotFound, metav1.StatusReasonNotFound)
		return
	}
	write(w, http.StatusOK, set)
}

func (s *Server) getLease(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	lease := s.lease
	s.mu.Unlock()
	if lease == nil {
		status(w, http.StatusNotFound, metav1.StatusReasonNotFound)
		return
	}
	write(w, http.StatusOK, lease)
}

// DeleteLease deletes the Lease, as an operator would.
func (s *Server) DeleteLease() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lease = nil
}

// applyLease makes an empty Lease where there is none, and leaves another alone.
func (s *Server) applyLease(w http.ResponseWriter, r *http.Request) {
	lease := &coordinationv1.Lease{}
	if !read(w, r, lease) {
		return
	}
	s.mu.Lock()
	if s.lease == nil {
		s.version++
		lease.ResourceVersion = strconv.Itoa(s.version)
		s.lease = lease
	}
	lease = s.lease
	s.mu.Unlock()
	write(w, http.StatusOK, lease)
}

func (s *Server) putLease(w http.ResponseWriter, r *http.Request) {
	lease := &coordinationv1.Lease{}
	if !read(w, r, lease) {
		return
	}
	s.mu.Lock()
	current := ""
	if s.lease != nil {
		current = s.lease.ResourceVersion
	}
	stale := lease.ResourceVersion != current
	if !stale {
		s.version++
		lease.ResourceVersion = strconv.Itoa(s.version)
		s.lease = lease
	}
	s.mu.Unlock()
	if stale {
		status(w, http.StatusConflict, metav1.StatusReasonConflict)
		return
	}
	write(w, http.StatusOK, lease)
}

func (s *Server) createEvent(w http.ResponseWriter, r *http.Request) {
	var event eventsv1.Event
	if !read(w, r, &event) {
		return
	}
	s.mu.Lock()
	s.events = append(s.events, event)
	s.mu.Unlock()
	write(w, http.StatusCreated, event)
}

// read reads an object in JSON or protobuf. It reports whether the request holds
// such an object, and answers the request if not.
func read(w http.ResponseWriter, r *http.Request, into runtime.Object) bool {
	body, err := io.ReadAll(r.Body)
	if err == nil {
		_, _, err = scheme.Codecs.UniversalDeserializer().Decode(body, nil, into)
	}
	if err != nil {
		status(w, http.StatusBadRequest, metav1.StatusReasonBadRequest)
	}
	return err == nil
}

func write(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v) // a client that went away asks again
}

func status(w http.ResponseWriter, code int, reason metav1.StatusReason) {
	write(w, code, &metav1.Status{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"},
		Status:   metav1.StatusFailure, Code: int32(code), Reason: reason, Message: http.StatusText(code),
	})
}

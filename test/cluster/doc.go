// Package cluster runs a real Kubernetes for tests and for the demo, without
// Docker, without a registry and without downloads of finished programs.
//
// There are two tiers with one API:
//
//   - The control plane alone: etcd, kube-apiserver and kube-controller-manager
//     as child processes on the loopback of the host. It needs no privileges
//     and shows everything that admission, RBAC and discovery can show.
//   - The whole node (Options.Node): the same control plane plus kube-scheduler,
//     containerd and kubelet inside private mount, pid, network, UTS and IPC
//     namespaces. It needs Linux and root and shows what only a kubelet can
//     show: the mode and owner of a token file, rotation, startup order, Jobs.
//
// Everything ends with the process that started it, even when that is killed
// with SIGKILL; nothing of the machine is changed.
//
// # Usage
//
// One cluster for all tests of a package:
//
//	func TestMain(m *testing.M) {
//		os.Exit(cluster.Main(m, cluster.Setup{Name: "e2e", Prepare: prepare}))
//	}
//
// or one for a single test, stopped by its cleanup, whose logs stay if it fails:
//
//	c := cluster.StartForTest(t, cluster.Options{})
//
// A test that needs the node asks for it and is skipped aloud, with the
// reason, where the machine cannot provide it; with CI set it fails instead:
//
//	cluster.RequireNode(t)
//	c := cluster.StartForTest(t, cluster.Options{Node: true})
//	image := cluster.ToolboxImage // sleep, cat, stat, touch, id, env; it is always there
//
// # Addresses
//
// Issuer, kubeconfig and RESTConfig say https://127.0.0.1:PORT in both tiers.
// With a node, that address works on the host and inside the namespaces alike:
// a forwarder connects the two. Three more things follow from the namespaces:
//
//   - A server of the test, such as a webhook on 127.0.0.1 of the host, is out
//     of sight of the API server until Cluster.Expose(ctx, port) was called.
//     Then the same 127.0.0.1:port leads to it from inside, and pods reach it
//     at Cluster.NodeIP():port. Without a node, Expose has nothing to do.
//   - There is neither kube-proxy nor cluster DNS. Webhooks that name a Service
//     work all the same (the API server finds the endpoints by itself), and so
//     does the Service "kubernetes", thus in-cluster clients. Pods reach other
//     pods by pod IP.
//   - Images come from Cluster.LoadImage, never from a registry: give them a
//     tag other than latest, or set imagePullPolicy to Never or IfNotPresent.
//
// After RestartAPIServer the controllers work at once, but the kubelet, which is
// not restarted, may take half a minute until it hears of new pods.
//
// RestartKubelet makes the kubelet forget the tokens that it has, so that it
// rotates those of all pods at once.
//
// # Binaries
//
// The Kubernetes programs are built with the go command from their modules, once,
// into a cache. That takes minutes; Options.Progress shows how far it is. Later
// runs take no time. The node's containerd, runc and CNI plugins are Debian (or
// Ubuntu) packages, unpacked into the cache and not installed.
//
//   - OIDC_INJECTOR_KUBERNETES_VERSION selects the release, for example v1.34.4.
//   - OIDC_INJECTOR_CACHE moves the cache; the default is oidc-injector in
//     os.UserCacheDir.
//   - OIDC_INJECTOR_NODE_ROOT names a folder with usr/bin/containerd, usr/bin/runc
//     and usr/lib/cni to be used instead of packages; "/" uses installed ones.
//   - KUBEBUILDER_ASSETS names a folder with etcd, kube-apiserver and kubectl,
//     which are then used for the control plane tier instead of built ones.
//     Where kube-controller-manager is missing, Cluster.Namespace creates
//     what it would have created.
package cluster

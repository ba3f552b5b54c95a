package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	metadatascheme "k8s.io/apimachinery/pkg/apis/meta/internalversion/scheme"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
)

const (
	// maxObject bounds what is read of one object. The API server takes requests
	// of 3 MiB, and etcd stores half of that by default.
	maxObject = 3 << 20
	// maxPage bounds what is read of a list at a time, unless it is one object.
	maxPage = 2 << 20
	// fullPage is what pages are made to weigh.
	fullPage = 1 << 20
	// firstPage and mostObjects are how many objects the first page has, and any.
	firstPage   = 100
	mostObjects = 500
)

// errTooLarge means that an answer was not read to its end.
var errTooLarge = errors.New("the answer is larger than the audit reads")

// metadataList asks for a list of metadata alone.
const metadataList = "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1," +
	"application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"

// readBounded sends a request and reads the answer into the buffer, but never
// more than so many bytes: client-go itself reads whatever comes.
func readBounded(ctx context.Context, request *rest.Request, into *bytes.Buffer, most int) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	body, err := request.Stream(ctx)
	if err != nil {
		return err
	}
	defer body.Close()
	into.Reset()
	if _, err := into.ReadFrom(io.LimitReader(body, int64(most)+1)); err != nil {
		return fmt.Errorf("could not read the answer: %w", err)
	}
	if into.Len() > most {
		return fmt.Errorf("%w: over %d bytes", errTooLarge, most)
	}
	return nil
}

// pager reads lists of metadata in pages whose size in bytes is bounded. How many
// objects that are is learned from the pages before.
type pager struct {
	client   rest.Interface // of the core group
	resource string
	objects  int // of the next page
}

func newPager(client rest.Interface, resource string) *pager {
	return &pager{client: client, resource: resource, objects: firstPage}
}

// page reads the next page into the buffer, and decodes it.
func (p *pager) page(ctx context.Context, namespace string, options metav1.ListOptions,
	buffer *bytes.Buffer,
) (*metav1.PartialObjectMetadataList, error) {
	for {
		most := maxPage
		if p.objects == 1 {
			most = maxObject
		}
		options.Limit = int64(p.objects)
		request := p.client.Get().NamespaceIfScoped(namespace, namespace != "").Resource(p.resource).SetHeader("Accept", metadataList).
			SpecificallyVersionedParams(&options, metav1.ParameterCodec, schema.GroupVersion{Version: "v1"})
		err := readBounded(ctx, request, buffer, most)
		if errors.Is(err, errTooLarge) && p.objects > 1 {
			p.objects = max(1, p.objects/4) // the same page again: where to go on says nothing of its size
			continue
		}
		if err != nil {
			return nil, err
		}
		list := &metav1.PartialObjectMetadataList{}
		if _, _, err := metadatascheme.Codecs.UniversalDeserializer().Decode(buffer.Bytes(), nil, list); err != nil {
			return nil, fmt.Errorf("could not decode the answer: %w", err)
		}
		p.learn(len(list.Items), buffer.Len())
		return list, nil
	}
}

// learn fits the next page to what the last one weighed. It grows slowly: after
// small objects there may come large ones.
func (p *pager) learn(objects, size int) {
	if objects == 0 {
		return
	}
	fits := fullPage / max(1, size/objects)
	p.objects = max(1, min(fits, 2*p.objects, mostObjects))
}

package etcd

import (
	"context"
	"errors"
	"sync"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/distsuper/distsuper/store"
)

// login keeps the auth token of a user with a password. clientv3 can do that, too, but its New fails while
// etcd is away, it checks the password (60 ms of a server's core) at every opening of a stream, and it sends
// the void token along with the request for a new one, which servers before 3.5 refuse for it.
//
// A token is known to every member; one that restarts forgets it, and then refuses it.
type login struct {
	user, password string

	mu    sync.Mutex // guards the rest, and is not held while a server is asked: one that hangs must not keep anybody from another
	token string     // "" before the first login, after drop, and where auth is not enabled
	off   bool       // the server has auth not enabled
	// asking has a channel for each connection by which a token is asked for, closed at the end: one password check serves all who wait.
	asking map[*grpc.ClientConn]chan struct{}
}

func newLogin(user, password string) *login {
	return &login{user: user, password: password, asking: map[*grpc.ClientConn]chan struct{}{}}
}

// options add the token to every call of a connection.
func (l *login) options() []grpc.DialOption {
	if l.user == "" {
		return nil
	}
	return []grpc.DialOption{
		grpc.WithChainUnaryInterceptor(l.unary),
		grpc.WithChainStreamInterceptor(l.stream),
	}
}

func (l *login) unary(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn,
	invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	if method == pb.Auth_Authenticate_FullMethodName {
		return invoke(ctx, method, req, reply, cc, opts...)
	}
	for again := false; ; again = true {
		authed, token, err := l.with(ctx, cc)
		if err != nil {
			return err
		}
		err = invoke(authed, method, req, reply, cc, opts...)
		if err == nil || !refusedLogin(err) || again {
			return err
		}
		l.drop(token)
	}
}

func (l *login) stream(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string,
	open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	ctx, token, err := l.with(ctx, cc)
	if err != nil {
		return nil, err
	}
	s, err := open(ctx, desc, cc, method, opts...)
	if err != nil {
		return nil, err
	}
	return &loginStream{ClientStream: s, refused: func() { l.drop(token) }}, nil
}

// loginStream drops a token that its stream was refused for, so that the next one logs in anew.
type loginStream struct {
	grpc.ClientStream
	refused func()
}

func (s *loginStream) RecvMsg(m any) error {
	err := s.ClientStream.RecvMsg(m)
	if err != nil && (refusedLogin(err) || classOf(err) == store.ErrPermission) {
		s.refused()
	}
	// A watch is refused with a message on its stream.
	if resp, ok := m.(*pb.WatchResponse); ok && err == nil && resp.Canceled && resp.CompactRevision == 0 {
		s.refused()
	}
	return err
}

// with is ctx with the token in it, fetched over cc if there is none.
func (l *login) with(ctx context.Context, cc *grpc.ClientConn) (context.Context, string, error) {
	for {
		l.mu.Lock()
		token, off, asked := l.token, l.off, l.asking[cc]
		ask := token == "" && !off && asked == nil
		if ask {
			l.asking[cc] = make(chan struct{})
		}
		l.mu.Unlock()
		switch {
		case off:
			return ctx, "", nil
		case token != "":
			return metadata.AppendToOutgoingContext(ctx, rpctypes.TokenFieldNameGRPC, token), token, nil
		case ask:
			if err := l.fetch(ctx, cc); err != nil {
				return nil, "", err
			}
		default:
			select {
			case <-asked: // if that was in vain, the next look asks
			case <-ctx.Done():
				return nil, "", ctx.Err()
			}
		}
	}
}

// fetch asks for a token.
func (l *login) fetch(ctx context.Context, cc *grpc.ClientConn) error {
	resp, err := pb.NewAuthClient(cc).Authenticate(context.WithValue(ctx, onceKey{}, nil),
		&pb.AuthenticateRequest{Name: l.user, Password: l.password})
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.asking[cc])
	delete(l.asking, cc)
	switch {
	case errors.Is(rpctypes.Error(err), rpctypes.ErrAuthNotEnabled):
		l.off = true
	case err != nil:
		return err
	case l.token == "": // else another server was faster
		l.token = resp.Token
	}
	return nil
}

// drop forgets a token, unless another one has replaced it.
func (l *login) drop(token string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.token == token {
		l.token, l.off = "", false
	}
}

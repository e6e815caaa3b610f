package etcd

import (
	"context"
	"errors"

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
	// busy is held, as a lock that a context can give up on, while token is read or fetched.
	busy  chan struct{}
	token string // "" before the first login, after drop, and where auth is not enabled
	off   bool   // the server has auth not enabled
}

func newLogin(user, password string) *login {
	return &login{user: user, password: password, busy: make(chan struct{}, 1)}
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
		l.drop(ctx, token)
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
	return &loginStream{ClientStream: s, refused: func() { l.drop(context.Background(), token) }}, nil
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

// with is ctx with the token in it, fetched if there is none.
func (l *login) with(ctx context.Context, cc *grpc.ClientConn) (context.Context, string, error) {
	select {
	case l.busy <- struct{}{}:
	case <-ctx.Done():
		return nil, "", ctx.Err()
	}
	defer func() { <-l.busy }()
	if l.token == "" && !l.off {
		resp, err := pb.NewAuthClient(cc).Authenticate(context.WithValue(ctx, onceKey{}, nil),
			&pb.AuthenticateRequest{Name: l.user, Password: l.password})
		switch {
		case errors.Is(rpctypes.Error(err), rpctypes.ErrAuthNotEnabled):
			l.off = true
		case err != nil:
			return nil, "", err
		default:
			l.token = resp.Token
		}
	}
	if l.off {
		return ctx, "", nil
	}
	return metadata.AppendToOutgoingContext(ctx, rpctypes.TokenFieldNameGRPC, l.token), l.token, nil
}

// drop forgets a token, unless another one has replaced it.
func (l *login) drop(ctx context.Context, token string) {
	select {
	case l.busy <- struct{}{}:
	case <-ctx.Done():
		return
	}
	defer func() { <-l.busy }()
	if l.token == token {
		l.token, l.off = "", false
	}
}

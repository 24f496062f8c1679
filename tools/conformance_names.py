#!/usr/bin/env python3
"""Names of grad_fn held against PyTorch: for each expression the whole graph behind its result.

    python tools/conformance_names.py [--verbose]

It needs wengert and torch in one interpreter. Compared are, node by node along next_functions, type(fn).__name__,
fn.name() and the slots that the edges lead to. What needs an operator that Wengert does not have yet is counted as
missing and said; it does not fail.
"""
import argparse
import sys
import warnings

import torch
import wengert

# In these x and y are 3 x 3, v has 3 elements, s none, b is 2 x 3 x 3, im 1 x 2 x 8 x 8, q 1 x 2 x 4 x 8; all require gradients.
EXPRESSIONS = """
x+2 ; x+y ; 2+x ; x.clone().add_(1) ; x-y ; x-1 ; x.sub(y,alpha=2) ; F.tanhshrink(x) ; 1-x ; -x ; x.neg() ; x*y
x*3 ; 1/x ; torch.outer(v,v) ; F.dropout(x,.5) ; x.clone().mul_(2) ; s*s ; x/y ; x/2 ; F.normalize(x)
F.softsign(x) ; x**2 ; x**0.5 ; x.square() ; x.pow(3) ; x**y ; 2**x ; x@y ; x.mm(y) ; F.linear(x,y) ; x@v ; v@v
v@x ; x.quantile(.5) ; b.transpose(0,1).reshape(6,3) ; b@b ; b@x ; x.t().reshape(9) ; torch.kron(x,y)
torch.bmm(b,b) ; torch.addmm(x,x,y) ; F.linear(x,y,v) ; x.sum() ; x.sum(0) ; x.sum(0,keepdim=True)
F.cosine_similarity(x,y) ; x.sum_to_size(1,3) ; x.mean() ; F.l1_loss(x,y) ; F.kl_div(x,y)
F.ctc_loss(torch.rand(5,1,3,requires_grad=True).log_softmax(2),torch.tensor([[1]]),torch.tensor([5]),torch.tensor([1]))
F.triplet_margin_loss(x,y,x) ; F.margin_ranking_loss(v,v,torch.ones(3)) ; x.mean(0)
F.adaptive_avg_pool2d(im,1) ; x.prod() ; x.prod(0) ; x.max() ; x.max(0)[0] ; x.min() ; x.amax(0) ; x.var()
x.var(0) ; x.std() ; x.std(0) ; torch.var_mean(x)[0] ; x.norm() ; x.norm(dim=0) ; x.norm(1)
torch.linalg.norm(x) ; x.logsumexp(0) ; x.softmax(0) ; F.softmax(x,0) ; F.softmin(x,0) ; x.log_softmax(0)
x.cumsum(0) ; torch.cumulative_trapezoid(x) ; x.cumprod(0) ; x.exp() ; x.log() ; x.log2() ; x.log10()
x.log1p() ; x.sqrt() ; x.rsqrt() ; x.sin() ; s.sin() ; x.cos() ; x.tan() ; x.tanh() ; x.sigmoid() ; x.relu()
F.relu(x) ; x.clone().relu_() ; x.abs() ; torch.complex(x,y).abs() ; x.sign() ; x.floor() ; x.round()
x.clamp(0,1) ; x.clamp(min=0) ; x.clamp(x,y) ; x.clamp_min(0) ; x.clamp_max(1) ; x.reciprocal() ; x.erf()
x.erfinv() ; x.lgamma() ; x.digamma() ; x.atan2(y) ; torch.maximum(x,y) ; torch.fmax(x,y) ; x.lerp(y,.5)
torch.where(x>0,x,y) ; x.t() ; x.T ; x.permute(1,0) ; x.movedim(0,1) ; x.mT ; x.transpose(0,1) ; x.swapaxes(0,1)
x.view(9) ; x.reshape(9) ; x.flatten() ; torch.tensordot(x,y) ; torch.einsum('ij,jk->ik',x,y)
F.instance_norm(im) ; x.view_as(y) ; x.ravel() ; x.unflatten(0,(3,1)) ; x.unsqueeze(0) ; x[:,None] ; x.squeeze()
x.unsqueeze(0).squeeze(0) ; x.unsqueeze(0).squeeze((0,)) ; x.expand(2,3,3) ; x.expand_as(b) ; x.expand(3,3)
x.broadcast_to(2,3,3) ; torch.meshgrid(v,v)[0] ; x.repeat(2,1) ; x.tile(2) ; x[0] ; x[0,1] ; x[...,0]
x.select(0,0) ; torch.complex(x,y).real ; torch.complex(x,y).imag ; x[0:2] ; x.narrow(0,0,1) ; x[[0,1]] ; x[x>0]
x.split(1)[0] ; x.chunk(3)[0] ; x.unbind()[0] ; x.diagonal() ; x.diag() ; torch.diagonal_copy(x) ; v.diag()
x.tril() ; x.triu() ; x.flip(0) ; x.roll(1) ; torch.cat([x,y]) ; torch.stack([x,y])
x.gather(0,torch.zeros(1,3,dtype=torch.long)) ; x.scatter(0,torch.zeros(1,3,dtype=torch.long),y)
x.scatter_add(0,torch.zeros(1,3,dtype=torch.long),y) ; x.index_select(0,torch.tensor([0]))
x.index_add(0,torch.tensor([0]),y[:1]) ; x.masked_fill(x>0,0.) ; x.masked_select(x>0)
x.take(torch.tensor([0])) ; x.sort()[0] ; x.topk(2)[0] ; x.kthvalue(1)[0] ; x.median() ; x.unfold(0,2,1)
x.clone() ; x.contiguous() ; x.detach() ; x.data ; F.one_hot(torch.tensor([0,1])) ; x.count_nonzero()
x.argmax() ; x.double() ; x.to(torch.float64) ; x.type(torch.float64) ; x.bfloat16() ; x.half() ; x.trace()
torch.det(x) ; torch.linalg.det(x) ; torch.inverse(x) ; torch.linalg.inv(x) ; torch.linalg.solve(x,v)
torch.linalg.cholesky(x@x.t()+torch.eye(3)) ; torch.linalg.svd(x)[1] ; torch.linalg.eigh(x+x.t())[0]
torch.linalg.qr(x)[0] ; torch.linalg.matrix_exp(x) ; torch.cross(x,y) ; torch.cdist(x,y)
F.conv2d(im,torch.rand(1,2,3,3)) ; F.conv1d(torch.rand(1,1,5,requires_grad=True),torch.rand(1,1,3))
F.max_pool2d(im,2) ; F.avg_pool2d(im,2) ; F.adaptive_avg_pool2d(im,2)
F.batch_norm(im,torch.zeros(2),torch.ones(2),training=True) ; F.layer_norm(x,(3,)) ; F.group_norm(im,1)
F.embedding(torch.tensor([0]),x) ; F.nll_loss(x,torch.tensor([0,1,2]))
F.cross_entropy(x,torch.tensor([0,1,2])) ; F.mse_loss(x,y) ; F.smooth_l1_loss(x,y) ; F.huber_loss(x,y)
F.binary_cross_entropy(x.sigmoid(),y.detach()) ; F.binary_cross_entropy_with_logits(x,y) ; F.gelu(x) ; F.silu(x)
F.elu(x) ; F.selu(x) ; F.leaky_relu(x) ; F.softplus(x) ; F.hardtanh(x) ; F.relu6(x) ; F.logsigmoid(x)
F.glu(torch.rand(2,4,requires_grad=True)) ; F.pad(x,(1,1)) ; F.pad(im,(1,1,1,1),mode='reflect')
F.interpolate(im,scale_factor=2) ; F.interpolate(im,scale_factor=2,mode='bilinear')
F.pixel_shuffle(torch.rand(1,4,2,2,requires_grad=True),2) ; F.unfold(im,2)
F.fold(torch.rand(1,4,9,requires_grad=True),(4,4),2) ; torch.complex(x,y)
torch.view_as_complex(torch.rand(3,2,requires_grad=True)) ; torch.fft.fft(x) ; torch.fft.rfft(x)
torch.fft.ifft(torch.fft.fft(x)) ; torch.complex(x,y).conj() ; torch.complex(x,y).angle()
x.as_strided((2,),(1,)) ; x.clone().zero_() ; x.clone().fill_(1.) ; x.clone().copy_(y) ; x.bernoulli()
torch.normal(x,1.) ; x.logit() ; x.nan_to_num() ; x.frac() ; x.fmod(2) ; x%2 ; x.hypot(y) ; x.nansum()
x.dist(y) ; x.renorm(2,0,1.) ; x.rot90() ; torch.trapz(x) ; x.logcumsumexp(0) ; x.cummax(0)[0] ; x.mode()[0]
x.index_put((torch.tensor([0]),),y[:1]) ; x.addcmul(x,y) ; x.addcdiv(x,y) ; torch.xlogy(x,y) ; torch.sinc(x)
F.embedding_bag(torch.tensor([0]),x,torch.tensor([0])) ; F.grid_sample(im,torch.rand(1,2,2,2))
F.affine_grid(torch.rand(1,2,3,requires_grad=True),(1,1,2,2)) ; F.prelu(x,torch.tensor([.1])) ; F.rrelu(x)
F.threshold(x,.1,0.) ; F.hardswish(x) ; F.mish(x) ; F.celu(x) ; F.scaled_dot_product_attention(q,q,q)
x.aminmax()[0] ; torch.nanmean(x) ; F.rms_norm(x,(3,)) ; F.alpha_dropout(x,.5,True)
F.linear_cross_entropy(x,y,torch.tensor([0,1,2]))
F.conv3d(torch.rand(1,1,3,3,3,requires_grad=True),torch.rand(1,1,2,2,2)) ; torch.view_copy(x,(9,))
torch.permute_copy(x,(1,0)) ; x.unsafe_chunk(2)[0] ; x.unsafe_split(2)[0] ; torch.ldexp(x,y)
torch.nextafter(x,y) ; x.masked_scatter(x>0,y) ; x.narrow_copy(0,0,1) ; torch.linalg.pinv(x)
torch.special.bessel_j0(x) ; torch.i0(x) ; torch.polygamma(1,x) ; x[...] ; x[True] ; x[0:2][1] ; x.clone()[0]
x.view(9)[0] ; x+y*2 ; (x@y+v).relu().sum() ; x.sigmoid()*x.tanh() ; x.var(0,keepdim=True) ; x.min(0)[0]
x.amin() ; x.logsumexp((0,1)) ; x.argsort() ; x.addmm(y,y) ; x.isnan() ; x.detach()+y ; x.where(x>0,0.)
x.index_fill(0,torch.tensor([0]),1.) ; x.split_with_sizes([1,2])[1] ; x.clamp(min=x) ; x.clamp(max=y) ; x//2
x.div(y,rounding_mode='floor') ; x.div(2,rounding_mode='trunc') ; x.clone().sub_(y) ; x.clone().div_(y)
x.clone().pow_(2) ; x.clone().exp_() ; x.clone().clamp_(0,1) ; x.clone().t_() ; x.clone().squeeze_()
x.clone().unsqueeze_(0) ; x.clone().transpose_(0,1) ; x.clone().normal_() ; x.clone().uniform_()
x.clone().bernoulli_() ; x.H ; x.adjoint() ; torch.norm(x,dim=1) ; torch.softmax(x,-1)
torch.log_softmax(x,-1,dtype=torch.float64) ; torch.sum(x,dtype=torch.float64) ; torch.matmul(b,v)
torch.matmul(v,b) ; F.cross_entropy(x,y.softmax(1)) ; F.mse_loss(x,y,reduction='sum')
F.embedding(torch.tensor([[0,1]]),x,padding_idx=0)
"""
# Statements that write; w is a clone of x, whose graph is compared afterwards, with that of a view made before.
WRITES = """
w[0]=1. ; w[0]=v ; w[0].mul_(2) ; w[[0]]=1. ; w[:,[0]]=1. ; w[x>0]=1. ; w[[0]]=v ; w[x>0]=torch.tensor(2.)
w[:,[0]]=torch.ones(3,1) ; w[...]=1. ; w[...]=torch.tensor(2.) ; w[...]=y ; w[:]=1. ; w[:,1:]+=1 ; w.t().add_(1)
w.view(9)[0:3].zero_() ; w.copy_(y) ; w[0,0]=v[0] ; w.diagonal().fill_(0)
w.index_put_((torch.tensor([0]),),v,accumulate=True)
"""


def names(module):
    """What the expressions mean by their letters."""
    module.manual_seed(0)
    shapes = {"x": (3, 3), "y": (3, 3), "v": (3,), "s": (), "b": (2, 3, 3), "im": (1, 2, 8, 8), "q": (1, 2, 4, 8)}
    return {k: module.rand(shape, requires_grad=True) for k, shape in shapes.items()} | {
        "torch": module, "F": module.nn.functional}


def graph(fn, depth=0):
    """The nodes behind fn as nested plain data."""
    if fn is None:
        return None
    edges = [(graph(f, depth + 1), slot) for f, slot in fn.next_functions] if depth < 12 else ["..."]
    return type(fn).__name__, fn.name(), edges


def expression(module, text):
    result = eval(text, names(module))  # noqa: S307 - the list above
    if not isinstance(result, module.Tensor):
        raise TypeError(f"{type(result)} is not a tensor of {module.__name__}")
    return graph(result.grad_fn)


def write(module, text):
    env = names(module)
    env["w"] = w = env["x"].clone()
    view = w[1]
    exec(text, env)  # noqa: S102
    return graph(env["w"].grad_fn), graph(view.grad_fn)


def absent(error):
    """The error says that there is no such operator; PyTorch has answered the expression already."""
    return isinstance(error, (AttributeError, NotImplementedError))


def difference(a, b):
    """The first place where two graphs part, as text."""
    if isinstance(a, tuple) and isinstance(b, tuple) and len(a) == len(b):
        return next((d for d in map(difference, a, b) if d), None)
    if isinstance(a, list) and isinstance(b, list) and len(a) == len(b) and a and isinstance(a[0], tuple):
        return next((d for d in map(difference, a, b) if d), None)
    return None if a == b else f"{a!r:.100}, not {b!r:.100}"


def main():
    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--verbose", action="store_true", help="list what is missing")
    args = parser.parse_args()
    passed = failed = 0
    missing = []
    for run, texts in (expression, EXPRESSIONS), (write, WRITES):
        for text in (t for line in texts.strip().split("\n") for t in line.split(" ; ")):
            want = run(torch, text)
            try:
                problem = difference(run(wengert, text), want)
            except Exception as error:  # noqa: BLE001
                if absent(error):
                    missing.append(text)
                    continue
                problem = f"{type(error).__name__}: {error}"
            passed += not problem
            failed += bool(problem)
            if problem:
                print(f"{text}: {problem}", flush=True)
    if args.verbose:
        print("missing:", " ; ".join(missing))
    print(f"{len(missing)} more expressions need operators to come")
    print(f"names: {passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

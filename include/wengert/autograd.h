/* autograd.h - gradients: leaves, backward, grad, hooks, custom functions, forward mode, vmap, gradcheck.
 * Behaviour is torch.autograd's; where a rule has a PyTorch name it is given.
 */
#ifndef WENGERT_AUTOGRAD_H
#define WENGERT_AUTOGRAD_H

#include "wengert/core.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- tensors and modes ------------------------------------------------------------------------------------------- */

WG_API bool wg_requires_grad(const wg_tensor *t); /* Tensor.requires_grad; false for poison and NULL */
/* Tensor.requires_grad_(): floating dtypes only; false only on leaves. Returns t, or poison. */
WG_API wg_tensor *wg_set_requires_grad(wg_tensor *t, bool on);
WG_API bool wg_is_leaf(const wg_tensor *t); /* Tensor.is_leaf: no grad_fn, or requires no gradient */
/* Tensor.grad: the accumulated gradient, NULL when there is none. Borrowed from t. */
WG_API wg_tensor *wg_grad_of(const wg_tensor *t);
/* Tensor.grad = g (NULL clears). Same shape and dtype, else RuntimeError. */
WG_API WG_MUST_CHECK wg_status wg_set_grad(wg_tensor *t, wg_tensor *g);
WG_API wg_tensor *wg_detach(wg_tensor *t); /* Tensor.detach(): shares storage and version, no history */
/* Tensor.detach_(): t itself loses its history and requires no gradient. RuntimeError for views. Returns t. */
WG_API wg_tensor *wg_detach_(wg_tensor *t);
WG_API wg_tensor *wg_data_of(wg_tensor *t); /* Tensor.data: shares storage, a version of its own, no history */
/* Tensor.data = source: t keeps identity, version and history but takes source's storage, sizes and dtype. */
WG_API WG_MUST_CHECK wg_status wg_set_data(wg_tensor *t, wg_tensor *source);
/* Tensor.retain_grad(): backward keeps .grad of a tensor that is not a leaf. RuntimeError when it requires no gradient.
 */
WG_API WG_MUST_CHECK wg_status wg_retain_grad(wg_tensor *t);
WG_API bool wg_retains_grad(const wg_tensor *t); /* Tensor.retains_grad; false on leaves */

/* Grad mode of the calling thread (torch.no_grad, enable_grad). Returns the mode before. */
WG_API bool wg_set_grad_enabled(bool on);
WG_API bool wg_grad_enabled(void); /* torch.is_grad_enabled() */
#define WG_MODE_(on)                                                                                                   \
    for (int wg_before_ = wg_set_grad_enabled(on), wg_once_ = 1; wg_once_;                                             \
         wg_once_ = ((void)wg_set_grad_enabled(wg_before_ != 0), 0))                                                   \
        for (; wg_once_; wg_once_ = 0)
/* WG_NO_GRAD { ... } and WG_ENABLE_GRAD { ... }; break leaves and restores, return does not restore. */
#define WG_NO_GRAD WG_MODE_(false)
#define WG_ENABLE_GRAD WG_MODE_(true)

/* ---- backward ---------------------------------------------------------------------------------------------------- */

/* Tensor.backward(): out has one element. Sums into the leaves' .grad; frees what the graph saved. RuntimeErrors: out
 * requires no gradient, has several elements, its graph was freed, or a saved value was written since. */
WG_API WG_MUST_CHECK wg_status wg_backward(wg_tensor *out);
/* Tensor.backward(gradient): gradient has out's shape (another dtype is cast). */
WG_API WG_MUST_CHECK wg_status wg_backward_with(wg_tensor *out, wg_tensor *gradient);

/* A place where gradients arrive: output nr of node (autograd.graph.GradientEdge). */
typedef struct wg_edge {
    wg_node *node;
    int nr;
} wg_edge;
typedef struct wg_walk_opts {
    size_t size;
    bool retain_graph;
    bool has_retain_graph; /* default: create_graph */
    bool create_graph;
    bool allow_unused;
    bool materialize_grads;
    wg_tensor *const *inputs; /* backward: only these accumulate */
    int ninputs;
    /* For outputs and inputs that are NULL in their arrays: the edges that stand for them. */
    const wg_edge *output_edges, *input_edges;
} wg_walk_opts;
#define WG_WALK(...) (&(wg_walk_opts){.size = sizeof(wg_walk_opts), __VA_ARGS__})
/* autograd.backward(tensors, grad_tensors): gradients may be NULL, or hold NULL for one-element outputs. */
WG_API WG_MUST_CHECK wg_status wg_backward_opt(wg_tensor *const *outputs, int n, wg_tensor *const *gradients,
                                               const wg_walk_opts *options);
/* autograd.grad: results[ninputs] belong to the scope; NULL where unused and allow_unused. No .grad is touched. */
WG_API WG_MUST_CHECK wg_status wg_grad(wg_tensor *const *outputs, int n, wg_tensor *const *inputs, int ninputs,
                                       wg_tensor *const *gradients, const wg_walk_opts *options, wg_tensor **results);
/* wg_grad of one output of one element and one input: its gradient, poison on failure. */
WG_API wg_tensor *wg_grad1(wg_tensor *output, wg_tensor *input, bool create_graph);

/* How much there is to do: elements of the outputs of the nodes that a walk from outputs[n] reaches, and 512 for each
 * node, one that is reached twice counted twice; the counting stops at limit. For a binding that holds a lock. */
WG_API int64_t wg_walk_weight(wg_tensor *const *outputs, int n, int64_t limit);
/* From inside a hook: the number of the walk that runs in this thread (0: none), and will it run n, or has it? */
WG_API uint64_t wg_walk_id(void);
WG_API bool wg_walk_will_run(const wg_node *n);

/* The walk one node at a time, for debuggers and teaching. Begin takes what wg_backward_opt takes; step runs one node
 * and returns 1 (more to come), 0 (done) or -1 (failed); *node, when not NULL, is the node just run. */
typedef struct wg_stepper wg_stepper;
WG_API wg_stepper *wg_stepper_begin(wg_tensor *const *outputs, int n, wg_tensor *const *gradients,
                                    const wg_walk_opts *options);
WG_API int wg_stepper_step(wg_stepper *s, wg_node **node);
WG_API void wg_stepper_end(wg_stepper *s);

/* ---- the graph --------------------------------------------------------------------------------------------------- */

/* Tensor.grad_fn, borrowed from t; NULL for a leaf. Poison, bad views: NULL with an error. */
WG_API wg_node *wg_grad_fn(wg_tensor *t);
WG_API int wg_output_nr(const wg_tensor *t); /* Tensor.output_nr: which output of grad_fn */
/* A leaf's AccumulateGrad (autograd.graph.get_gradient_edge). Borrowed from t. */
WG_API wg_node *wg_grad_accumulator(wg_tensor *t);
WG_API wg_node *wg_node_keep(wg_node *n);
WG_API void wg_node_release(wg_node *n);
WG_API const char *wg_node_name(const wg_node *n); /* "MulBackward0", "torch::autograd::AccumulateGrad" */
WG_API int wg_node_inputs(const wg_node *n);       /* length of next_functions */
WG_API wg_node *wg_node_next(const wg_node *n, int i, int *input_nr); /* NULL where no gradient goes. Borrowed */
/* greater in nodes made later by this thread; backward runs the greatest first */
WG_API uint64_t wg_node_sequence(const wg_node *n);
WG_API wg_tensor *wg_node_variable(const wg_node *n); /* AccumulateGrad: its leaf; else NULL. Borrowed */
/* A value that the node saved, by input number (-1: its output), belonging to the scope, or NULL. Raises, and gives
 * poison, after the graph was freed or the value was written. */
WG_API wg_tensor *wg_node_saved(wg_node *n, int i);
/* May its rule read input i (-1: its outputs)? What this call did not need is NULL in wg_node_saved all the same. */
WG_API bool wg_node_may_save(const wg_node *n, int i);
/* The schema of the op whose call it is ("mul(Tensor self, Tensor|Scalar other) -> Tensor"); NULL: of none. */
WG_API const char *wg_node_schema(const wg_node *n);
/* Number i among the inputs of the schema: was it a Python-like number (wg_s, wg_i)? */
WG_API bool wg_node_input_is_number(const wg_node *n, int i);
WG_API int wg_node_outputs(const wg_node *n); /* how many outputs, used or not */
/* What the cotangent of output nr looks like. sizes are the node's. IndexError when there is no such output. */
WG_API WG_MUST_CHECK wg_status wg_node_output(const wg_node *n, int nr, wg_dtype *dtype, int *ndim,
                                              const int64_t **sizes);
/* Runs the node alone on cotangents[nout] (NULL: none) and keeps what it saved: grad_fn(*grads). Fills results with the
 * gradients of next_functions (NULL: none), which belong to the scope; room for wg_node_inputs of them. */
WG_API WG_MUST_CHECK wg_status wg_node_run(wg_node *n, wg_tensor *const *cotangents, int nout, wg_tensor **results);
WG_API void *wg_node_site(const wg_node *n); /* the call site's word */
WG_API void *wg_node_slot(const wg_node *n);
WG_API void wg_node_set_slot(wg_node *n, void *object);

/* Call sites. A binding may pin its own word for the calls that follow in this thread (NULL: return addresses again)
 * and give a resolver that turns a word into text; the default one names function, file and line when debug
 * information and libdw are there, else module and offset. */
WG_API void *wg_pin_site(void *site); /* returns the one before */
/* A binding may also be asked for the word of a call when one is needed: a node is made, a value written. source gets
 * the return address, and gives it back for calls that are not the binding's. NULL: none. Set it once, at start. */
WG_API void wg_set_site_source(void *(*source)(void *here));
/* resolve returns the length of the text it wrote, 0 for a word that is not its own (the default resolver is asked). */
WG_API void wg_set_site_resolver(size_t (*resolve)(void *user, void *site, char *text, size_t size), void *user);
WG_API size_t wg_site_text(void *site, char *text, size_t size);

/* ---- hooks ------------------------------------------------------------------------------------------------------- */

/* Hook ids are never 0; wg_remove_hook of an id that is gone does nothing. destroy(user) runs when the hook goes. */
typedef uint64_t wg_hook_id;
/* Tensor.register_hook: returns the gradient to go on with, NULL to leave it, poison to fail. gradient is NULL when
 * none came (an unused output of a node that runs for its others). A hook registered while hooks run waits for the next
 * backward; a removed one is not called again. */
typedef wg_tensor *(*wg_tensor_hook)(void *user, wg_tensor *gradient);
WG_API wg_hook_id wg_register_hook(wg_tensor *t, wg_tensor_hook fn, void *user, void (*destroy)(void *user));
/* Tensor.register_post_accumulate_grad_hook: leaves only. */
typedef wg_status (*wg_leaf_hook)(void *user, wg_tensor *leaf);
WG_API wg_hook_id wg_register_post_accumulate_hook(wg_tensor *t, wg_leaf_hook fn, void *user,
                                                   void (*destroy)(void *user));
/* Node.register_prehook: may replace gradients[i] with results of the current scope, or make it undefined (NULL). */
typedef wg_status (*wg_node_prehook)(void *user, wg_tensor **gradients, int n);
WG_API wg_hook_id wg_node_register_prehook(wg_node *n, wg_node_prehook fn, void *user, void (*destroy)(void *user));
/* Node.register_hook: after the node; may replace grad_inputs[i]. */
typedef wg_status (*wg_node_hook)(void *user, wg_tensor **grad_inputs, int ninputs, wg_tensor *const *grad_outputs,
                                  int noutputs);
WG_API wg_hook_id wg_node_register_hook(wg_node *n, wg_node_hook fn, void *user, void (*destroy)(void *user));
WG_API void wg_remove_hook(wg_hook_id id);
/* For a binding's cycle collector: calls visit(user, arg) for each hook whose destroy function is the given one and
 * that t alone keeps: those of a leaf, and those of a grad_fn that nothing else holds. Stops when visit gives non-zero,
 * and returns that. Call it only while no other thread can register or remove hooks of t. */
WG_API int wg_visit_hooks(const wg_tensor *t, void (*destroy)(void *user), int (*visit)(void *user, void *arg),
                          void *arg);
WG_API int wg_node_visit_hooks(const wg_node *n, void (*destroy)(void *user), int (*visit)(void *user, void *arg),
                               void *arg);
/* The same along the graph, as far as this tensor (or node) alone keeps it: hooks with the given destroy function, and
 * the objects that nodes carry (wg_node_slot). Looks at most at limit nodes. The same rule about other threads. */
typedef struct wg_visitor {
    size_t size;
    void (*destroy)(void *user);
    int (*hook)(void *user, void *arg);
    int (*slot)(void *object, void *arg);
    void *arg;
    int limit;
} wg_visitor;
WG_API int wg_visit_history(const wg_tensor *t, const wg_visitor *v);
WG_API int wg_node_visit_history(const wg_node *n, const wg_visitor *v);
/* Owners of the node right now: a hint for collectors. */
WG_API uint32_t wg_node_owner_count(const wg_node *n);

/* ---- custom functions (torch.autograd.Function) ------------------------------------------------------------------ */

typedef struct wg_context wg_context; /* ctx */
typedef struct wg_function {
    size_t size;
    const char *name; /* node name: name + "Backward", unless it has a "::" */
    /* Computes out[nout] from in[nin], with grad mode off. */
    wg_status (*forward)(wg_context *ctx, wg_tensor *const *in, int nin, wg_tensor **out, int nout);
    /* Fills grad_in[nin] (NULL: none) from grad_out[nout]. Written in public ops it differentiates again. */
    wg_status (*vjp)(wg_context *ctx, wg_tensor *const *grad_out, int nout, wg_tensor **grad_in, int nin);
    /* Forward mode: tangents of the outputs from tangents of the inputs (NULL: zero). May be NULL: none. Where forward
     * returned a view of an input, a view of its tangent; where it wrote one in place, that tangent, written. */
    wg_status (*jvp)(wg_context *ctx, wg_tensor *const *tangent_in, int nin, wg_tensor **tangent_out, int nout);
    void (*destroy)(void *user); /* user data of a call, when its node dies (or the call fails) */
} wg_function;
/* F.apply: out[nout] belong to the scope. user is the call's own data. */
WG_API WG_MUST_CHECK wg_status wg_function_apply(const wg_function *f, void *user, wg_tensor *const *in, int nin,
                                                 wg_tensor **out, int nout);
/* The same in two halves, for forwards that decide how many outputs there are: what is computed between begin and end
 * (grad mode is off, the inputs' tangents are out of sight) are the outputs, NULL where one is no tensor. in must live
 * until then. end replaces out[nout] by the results, which belong to the scope; cancel gives the call up. Either way
 * ctx is not to be used afterwards, but by vjp. NULL: failed, and user was destroyed. f->forward is not called. */
WG_API wg_context *wg_function_begin(const wg_function *f, void *user, wg_tensor *const *in, int nin);
WG_API WG_MUST_CHECK wg_status wg_function_end(wg_context *ctx, wg_tensor **out, int nout);
WG_API void wg_function_cancel(wg_context *ctx);
/* The user of wg_function_apply. */
WG_API void *wg_context_user(wg_context *ctx);
/* The call's node, borrowed; NULL when the call is not recorded. */
WG_API wg_node *wg_context_node(const wg_context *ctx);
/* ctx.save_for_backward: call in forward; inputs and outputs, NULL among them. A second call replaces the first. */
WG_API WG_MUST_CHECK wg_status wg_save_for_backward(wg_context *ctx, wg_tensor *const *tensors, int n);
WG_API int wg_saved_count(const wg_context *ctx);
/* ctx.saved_tensors[i], belonging to the scope; checks its version. Poison after the graph was freed. */
WG_API wg_tensor *wg_saved_tensor(wg_context *ctx, int i);
/* Lets go of what was saved before backward is done: for those who need it once. */
WG_API void wg_drop_saved_tensors(wg_context *ctx);
/* ctx.needs_input_grad[i]. */
WG_API bool wg_needs_input_grad(const wg_context *ctx, int i);
/* ctx.mark_non_differentiable: call in forward. */
WG_API WG_MUST_CHECK wg_status wg_mark_non_differentiable(wg_context *ctx, wg_tensor *output);
/* ctx.mark_dirty: forward writes input in place, and returns it. It becomes the result itself; of a view, the base gets
 * a new history too, and it must be the only output. Leaves that require a gradient are refused. */
WG_API WG_MUST_CHECK wg_status wg_mark_dirty(wg_context *ctx, wg_tensor *input);
/* set_materialize_grads(false): grad_out entries that did not arrive are NULL instead of zeros. */
WG_API void wg_set_materialize_grads(wg_context *ctx, bool on);
/* set_output_grad_dtype: the dtypes in which vjp gets its gradients, one per output (WG_DTYPE_NONE: as they come). */
WG_API WG_MUST_CHECK wg_status wg_set_output_grad_dtype(wg_context *ctx, const wg_dtype *dtypes, int n);

/* ---- forward mode (torch.autograd.forward_ad), nests ------------------------------------------------------------- */

WG_API int wg_dual_level_enter(void);      /* the new level; 0 on failure */
WG_API void wg_dual_level_exit(int level); /* forgets all tangents of the level */
/* A view of primal that carries tangent (same shape, floating) at level. */
WG_API wg_tensor *wg_make_dual(wg_tensor *primal, wg_tensor *tangent, int level);
/* Tangent of t at level, NULL when it has none (zero). Belongs to the scope. */
WG_API wg_tensor *wg_tangent_of(wg_tensor *t, int level);
/* t without its tangent at level. */
WG_API wg_tensor *wg_primal_of(wg_tensor *t, int level);
/* Do ops push tangents, in this thread? Returns what was before. Off, tangents are out of sight. */
WG_API bool wg_set_forward_enabled(bool on);
WG_API bool wg_forward_enabled(void);
/* f pushed forward: out and its tangent at (primals, tangents). torch.func.jvp. */
typedef wg_tensor *(*wg_fn)(void *user, wg_tensor *const *in, int nin);
WG_API wg_tensor *wg_jvp(wg_fn f, void *user, wg_tensor *const *primals, wg_tensor *const *tangents, int n,
                         wg_tensor **tangent_out);

/* ---- vmap -------------------------------------------------------------------------------------------------------- */

/* torch.func.vmap: f sees one sample of each input (in_dims[i]: the dim to map, WG_NO_DIM: not mapped); the result
 * gets the mapped dim at out_dim. Ops without a batch rule run in a loop, counted by wg_vmap_fallbacks. */
#define WG_NO_DIM INT64_MIN
WG_API wg_tensor *wg_vmap(wg_fn f, void *user, wg_tensor *const *in, const int64_t *in_dims, int nin, int64_t out_dim);
WG_API int64_t wg_vmap_fallbacks(void); /* ops that ran sample by sample so far, in the whole process */

/* ---- gradcheck (torch.autograd.gradcheck) ------------------------------------------------------------------------ */

typedef struct wg_check_opts {
    size_t size;
    double eps, atol, rtol; /* 0: 1e-6, 1e-5, 1e-3 */
    bool check_forward;     /* forward mode too */
} wg_check_opts;
/* f's backward against central differences at the float64 inputs that require grad. WG_OK: they agree; otherwise
 * WG_ERR_RUNTIME with both Jacobians' first difference in the message. */
WG_API WG_MUST_CHECK wg_status wg_gradcheck(wg_fn f, void *user, wg_tensor *const *in, int nin,
                                            const wg_check_opts *options);
/* The same for the gradient itself, with random cotangents. */
WG_API WG_MUST_CHECK wg_status wg_gradgradcheck(wg_fn f, void *user, wg_tensor *const *in, int nin,
                                                const wg_check_opts *options);

#ifdef __cplusplus
}
#endif
#endif

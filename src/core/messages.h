/* messages.h - error texts of autograd that people and programs match on: the first sentence is PyTorch's word for
 * word, what follows is ours and says which tensor, where, and what to do. Texts of single ops stand with their ops.
 */
#ifndef WG_CORE_MESSAGES_H
#define WG_CORE_MESSAGES_H

#define WG_MSG_NO_GRAD_ROOT "element %d of tensors does not require grad and does not have a grad_fn"
#define WG_MSG_SCALAR_ROOT "grad can be implicitly created only for scalar outputs"
#define WG_MSG_SEED_SHAPE                                                                                              \
    "Mismatch in shape: grad_output[%d] has a shape of torch.Size(%s) and output[%d] has a shape of torch.Size(%s)."
#define WG_MSG_SECOND_TIME                                                                                             \
    "Trying to backward through the graph a second time (or directly access saved tensors after they have already "    \
    "been freed). Saved intermediate values of the graph are freed when you call .backward() or autograd.grad(). "     \
    "Specify retain_graph=True if you need to backward through the graph a second time or if you need to access "      \
    "saved tensors after calling backward. (%s, made at %s, was freed by the backward at %s)"
#define WG_MSG_MODIFIED                                                                                                \
    "one of the variables needed for gradient computation has been modified by an inplace operation: "                 \
    "[%s%s%s %s]%s is at version %u; expected version %u instead. Hint: enable anomaly detection to find "             \
    "the operation that failed to compute its gradient, with torch.autograd.set_detect_anomaly(True, "                 \
    "check_nan=False). (%s, made at %s, saved it; the last write was at %s; write a copy instead, or write before)"
#define WG_MSG_EMPTY_INPUTS "`inputs` argument to `%s` cannot be empty."
#define WG_MSG_INPUT_NO_GRAD "One of the differentiated Tensors does not require grad"
#define WG_MSG_UNUSED                                                                                                  \
    "The differentiated Tensor at index %d appears to not have been used in the graph. Set allow_unused=True if this " \
    "is the desired behavior."
#define WG_MSG_MATERIALIZE                                                                                             \
    "Expected allow_unused to be True or not passed when materialize_grads=True, but got: allow_unused=False."
#define WG_MSG_MATERIALIZE_EDGE "materialize_grads cannot be used when the given input is a GradientEdge"
#define WG_MSG_DETACH_VIEW                                                                                             \
    "Can't detach views in-place. Use detach() instead. (The view shares its elements with a tensor that keeps its "   \
    "history; detach() makes a new one without)"
#define WG_MSG_DETACHED_SAVED                                                                                          \
    "Trying to use a saved tensor that has been detached in-place, i.e. with .detach_().This is not supported, "       \
    "please "                                                                                                          \
    "use out-of-place `.detach()` instead. (%s, made at %s, saved it)"
#define WG_MSG_INPLACE_LEAF                                                                                            \
    "a leaf Variable that requires grad is being used in an in-place operation. (%s: write it under no_grad, or use "  \
    "the out-of-place op)"
#define WG_MSG_INPLACE_VIEW_OF_LEAF                                                                                    \
    "a view of a leaf Variable that requires grad is being used in an in-place operation. (%s: write it under "        \
    "no_grad, or clone the leaf first)"
#define WG_MSG_MULTI_VIEW                                                                                              \
    "Output %d of %s is a view and %s. This view is the output of a function that returns multiple views. Such "       \
    "functions do not allow the output views to be modified inplace. You should replace the inplace operation by an "  \
    "out-of-place one."
#define WG_MSG_CUSTOM_VIEW                                                                                             \
    "Output %d of %s is a view and %s. This view was created inside a custom Function (or because an input was "       \
    "returned as-is) and the autograd logic to handle view+inplace would override the custom backward associated "     \
    "with the custom Function, leading to incorrect gradients. This behavior is forbidden. You can fix this by "       \
    "cloning the output of the custom Function."
#define WG_MSG_VIEW_WRITTEN "is being modified inplace"
#define WG_MSG_BASE_WRITTEN "its base or another view of its base has been modified inplace"
#define WG_MSG_NO_GRAD_VIEW                                                                                            \
    "A view was created in no_grad mode and %s with grad mode enabled. Given that this use case is ambiguous and "     \
    "error-prone, it is forbidden. You can clarify your code by moving both the view and the inplace either both "     \
    "inside the no_grad block (if you don't want the inplace to be tracked) or both outside (if you want the "         \
    "inplace to be tracked)."
/* A view without history of its own, because its base had none then: PyTorch has these words for it. */
#define WG_MSG_NO_GRAD_MULTI_VIEW                                                                                      \
    "A view was created in no_grad mode and %s with grad mode enabled. This view is the output of a function that "    \
    "returns multiple views. Such functions do not allow the output views to be modified inplace. You should replace " \
    "the inplace operation by an out-of-place one."
#define WG_MSG_NO_GRAD_CUSTOM_VIEW                                                                                     \
    "A view was created in no_grad mode and %s with grad mode enabled. This view was created inside a custom "         \
    "Function "                                                                                                        \
    "(or because an input was returned as-is) and the autograd logic to handle view+inplace would override the "       \
    "custom "                                                                                                          \
    "backward associated with the custom Function, leading to incorrect gradients. This behavior is forbidden. You "   \
    "can fix this by cloning the output of the custom Function."
#define WG_MSG_INT_REQUIRES "only Tensors of floating point dtype can require gradients"
#define WG_MSG_INT_REQUIRES_NEW "Only Tensors of floating point and complex dtype can require gradients"
#define WG_MSG_REQUIRES_NON_LEAF                                                                                       \
    "you can only change requires_grad flags of leaf variables. If you want to use a computed variable in a "          \
    "subgraph that doesn't require differentiation use var_no_grad = var.detach()."
#define WG_MSG_RETAIN_NO_GRAD "can't retain_grad on Tensor that has requires_grad=False"
#define WG_MSG_HOOK_NO_GRAD "cannot register a hook on a tensor that doesn't require gradient"
#define WG_MSG_POST_ACCUMULATE "post accumulate grad hooks cannot be registered on non-leaf tensors"
#define WG_MSG_GRAD_SIZE                                                                                               \
    "attempting to assign a gradient of size '%s' to a tensor of size '%s'. Please ensure that the gradient and the "  \
    "tensor are the same size"
#define WG_MSG_GRAD_DTYPE                                                                                              \
    "attempting to assign a gradient with dtype '%s' to a tensor with grad_dtype '%s'. The gradient must match the "   \
    "tensor's grad_dtype (defaults to the tensor's dtype). You can set the tensor's grad_dtype attribute with a "      \
    "specific dtype, or None to allow any dtype."
#define WG_MSG_GRAD_SELF "can't assign Variable as its own grad"
#define WG_MSG_INVALID_GRADIENT                                                                                        \
    "Function %s returned an invalid gradient at index %d - got %s but expected shape compatible with %s"
#define WG_MSG_CANT_CAST "result type %s can't be cast to the desired output type %s"
#define WG_MSG_INPLACE_SHAPE "output with shape %s doesn't match the broadcast shape %s"
#define WG_MSG_SELF_OVERLAP                                                                                            \
    "unsupported operation: more than one element of the written-to tensor refers to a single memory location. "       \
    "Please clone() the tensor before performing the operation."
#define WG_MSG_EXPANDED                                                                                                \
    "Use of %s_ on expanded tensors is deprecated. One element of memory is written in place of several; clone() the " \
    "tensor first."
#define WG_MSG_PARTIAL_OVERLAP                                                                                         \
    "unsupported operation: some elements of the input tensor and the written-to tensor refer to a single memory "     \
    "location. Please clone() the tensor before performing the operation."
#define WG_MSG_NOT_DIFFERENTIABLE "derivative for aten::%s is not implemented"
#define WG_MSG_NO_FORWARD                                                                                              \
    "Trying to use forward AD with %s that does not support it because it has not been implemented yet."
#define WG_MSG_NO_LEVEL                                                                                                \
    "Trying to create a dual Tensor for forward AD but no level exists, make sure to enter_dual_level() first."
#define WG_MSG_TANGENT_SIZE                                                                                            \
    "Trying to set a forward gradient that has a different size than that of the original Tensor, this is not "        \
    "supported. Tensor is of size %s while the given forward gradient is of size %s."
#define WG_MSG_TANGENT_FLOAT "Expected %s to be floating point or complex, but got: torch.%s"
#define WG_MSG_ALREADY_DUAL                                                                                            \
    "Making a dual Tensor based on a Tensor that already has a forward gradient at the same level %d is not "          \
    "supported."
#define WG_MSG_NO_FORWARD_FN "You must implement the forward function for custom autograd.Function."
#define WG_MSG_NO_VJP                                                                                                  \
    "You must implement either the backward or vjp method for your custom autograd.Function to use it with backward "  \
    "mode AD."
#define WG_MSG_NO_JVP "You must implement the jvp function for custom autograd.Function to use it with forward mode AD."
#define WG_MSG_DIRTY_LEAF                                                                                              \
    "a leaf Variable that requires grad has been used in an in-place operation. (Write a clone, or under no_grad)"
#define WG_MSG_DIRTY_NOT_RETURNED                                                                                      \
    "Some elements marked as dirty during the forward method were not returned as output. The inputs that are "        \
    "modified inplace must all be outputs of the Function."
#define WG_MSG_DIRTY_NO_INPUT                                                                                          \
    "ctx.mark_dirty() received a tensor that was not an input. Only input Tensors that have been mutated should be "   \
    "passed to ctx.mark_dirty()."
#define WG_MSG_DIRTY_VIEW                                                                                              \
    "If your Function modifies inplace an input that is a view of another Tensor, your Function cannot return more "   \
    "than one Tensor. The write becomes part of the base's history, which has one output: give the function a clone, " \
    "or split it into one that writes and returns that one tensor, and one that computes the rest."
#define WG_MSG_GRAD_DTYPES                                                                                             \
    "set_output_grad_dtype expected the number of declarations to match the number of outputs: the Function "          \
    "returned %d values but %d declarations were provided"
#define WG_MSG_JVP_CONSTANT                                                                                            \
    "Function's jvp returned a gradient at position %d, but  the corresponding forward output is not a "               \
    "differentiable Tensor.You should return None at that position instead."
#define WG_MSG_JVP_NO_VIEW                                                                                             \
    "A custom Function's forward is returning a view (or an input as-is) but the jvp is not returning a view."
#define WG_MSG_JVP_OTHER_VIEW                                                                                          \
    "A custom Function is returning a view but the jvp is not returning a view of the given grad input."
#define WG_MSG_JVP_NOT_INPLACE                                                                                         \
    "An inplace custom Function is not modifying the forward mode gradients inplace. If the forward is modifying an "  \
    "input inplace, then the jvp function must modify the corresponding gradient inplace."
#define WG_MSG_JVP_NOT_AS_IS                                                                                           \
    "An inplace custom Function is not returning the forward mode gradients as-is. If the forward is modifying an "    \
    "input inplace, then the jvp function must modify the gradient inplace and return it as-is."
#define WG_MSG_BOOL_MINUS                                                                                              \
    "%s, the `-` operator, %s a bool tensor is not supported. If you are trying to invert a mask, use the `~` or "     \
    "`logical_not()` operator instead."
#define WG_MSG_TWO_BOOLS                                                                                               \
    "Subtraction, the `-` operator, with two bool tensors is not supported. Use the `^` or `logical_xor()` operator "  \
    "instead."
#define WG_MSG_READ_ONLY "cannot write to a tensor over read-only memory"

#endif

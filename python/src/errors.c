/* errors.c - the library's errors as Python exceptions, Python's as the library's, and what the library asks of its
 * host: warnings, whether to stop (Ctrl-C), and what to do with objects that hang on handles.
 */
#include "wgpy.h"

static PyObject *exception_of(wg_status status) {
    switch (status) {
    case WG_ERR_TYPE: return PyExc_TypeError;
    case WG_ERR_VALUE: return PyExc_ValueError;
    case WG_ERR_INDEX: return PyExc_IndexError;
    case WG_ERR_NOT_IMPLEMENTED: return PyExc_NotImplementedError;
    case WG_ERR_ZERO_DIVISION: return PyExc_ZeroDivisionError;
    case WG_ERR_MEMORY: return PyExc_MemoryError;
    case WG_ERR_INTERRUPTED: return PyExc_KeyboardInterrupt;
    default: return PyExc_RuntimeError;
    }
}

PyObject *wgpy_error(void) {
    if (PyErr_Occurred()) { /* a hook's or Function's exception travels out unharmed */
        wg_clear_error();
        return NULL;
    }
    wg_status status = wg_last_status();
    if (status == WG_OK)
        PyErr_SetString(PyExc_SystemError, "wengert: a call failed without saying why");
    else
        PyErr_SetString(exception_of(status), wg_last_message());
    wg_clear_error();
    return NULL;
}

int wgpy_check(wg_status status) {
    if (status == WG_OK) return 0;
    wgpy_error();
    return -1;
}

wg_status wgpy_callback_failed(const char *who) {
    if (!PyErr_Occurred()) PyErr_Format(PyExc_SystemError, "%s failed without an exception", who);
    return WG_ERR_CALLBACK;
}

int wgpy_warn(PyObject *category, const char *text) { return PyErr_WarnEx(category, text, 1); }

/* ---- the host ---------------------------------------------------------------------------------------------------- */

static PyObject *category_of(wg_warning w) {
    if (w == WG_WARN_DEPRECATION) return PyExc_DeprecationWarning;
    return w == WG_WARN_FUTURE ? PyExc_FutureWarning : PyExc_UserWarning;
}

static int host_warn(void *user, wg_warning category, const char *message) {
    (void)user;
    PyGILState_STATE gil = PyGILState_Ensure();
    int error = PyErr_Occurred() ? 0 : PyErr_WarnEx(category_of(category), message, 1);
    PyGILState_Release(gil);
    return error;
}

/* Python runs signal handlers in the main thread only; elsewhere this finds nothing. */
static bool host_should_stop(void *user) {
    (void)user;
    PyGILState_STATE gil = PyGILState_Ensure();
    bool stop = PyErr_Occurred() || PyErr_CheckSignals() != 0;
    PyGILState_Release(gil);
    return stop;
}

void wgpy_decref(void *object) {
    if (!object || !Py_IsInitialized()) return;
    PyGILState_STATE gil = PyGILState_Ensure();
    wgpy_saved_error e = wgpy_save_error();
    Py_DECREF((PyObject *)object);
    wgpy_restore_error(e);
    PyGILState_Release(gil);
}

/* The handle died while it kept its object. */
static void tensor_released(void *object) {
    if (!Py_IsInitialized()) return;
    PyGILState_STATE gil = PyGILState_Ensure();
    wgpy_saved_error e = wgpy_save_error();
    wgpy_tensor *self = object;
    self->t = NULL;
    self->kept = false;
    Py_DECREF(object);
    wgpy_restore_error(e);
    PyGILState_Release(gil);
}

int wgpy_init_host(void) {
    wg_host host = {.size = sizeof(host), .warn = host_warn, .should_stop = host_should_stop};
    wg_binding binding = {
        .size = sizeof(binding), .tensor_released = tensor_released, .node_released = wgpy_node_released};
    if (wgpy_check(wg_set_host(&host)) || wgpy_check(wg_set_binding(&binding))) return -1;
    return wgpy_init_site();
}

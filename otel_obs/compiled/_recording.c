/* The fast paths of recording, which write directly to the memory of the cells. The Python functions define the
 * behaviour: a call that is not a simple case is passed to the Python function before anything is changed.
 *
 * Why this is safe:
 *
 * - Memory. Every call gets the cells from a memoryview. As long as that is not released, it holds its buffer: neither
 *   an mmap nor a bytearray can be closed, resized or freed. Right before the cells are changed, the code checks that
 *   the memoryview is not released and that each cell lies inside it.
 * - No other code in between. Between the first check and the last change, nothing can run Python code, release the
 *   GIL, or start a garbage collection: only exact strings, ints, floats and bools are hashed and compared. So
 *   dictionaries and tables cannot change while they are read, borrowed references stay valid, and a signal handler
 *   runs before all changes of a call or after all of them.
 * - Hash collisions do no harm: keys are always compared as a whole.
 *
 * Without the GIL, other threads run all the time: see "Without the GIL" for what takes its place.
 */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>
#if PY_VERSION_HEX < 0x030B0000
#include <longintrepr.h>
#endif
#include <math.h>
#include <stdint.h>
#include <stddef.h>
#include <time.h>

#ifdef Py_GIL_DISABLED
#include <pthread.h>
#include <sched.h>
#endif

#define MOST_ATTRIBUTES 32
#define NONE (-1)
#define OTEL_OBS_VERSION 4

/* ---- The OpenTelemetry context ---- */

/* Whether the current context has an entry, such as a span: then the Python function may keep an exemplar. */

static PyObject *context_variable = NULL;
static PyTypeObject *context_type = NULL;
static int is_empty_by_default; /* whether a thread that has never set a context variable is in an empty context */

static inline int
is_in_context(void)
{
#if PY_VERSION_HEX >= 0x030D0000
    PyThreadState *thread = PyThreadState_GetUnchecked();
#else
    PyThreadState *thread = PyThreadState_Get();
#endif
    if (is_empty_by_default && thread->context == NULL) {
        return 0; /* and nothing that all threads share was touched */
    }
    PyObject *context = NULL;
    if (PyContextVar_Get(context_variable, NULL, &context) < 0 || context == NULL) {
        PyErr_Clear();
        return 1;
    }
    int is_empty = Py_IS_TYPE(context, context_type) && PyDict_GET_SIZE(context) == 0;
    Py_DECREF(context); /* not the last reference, since the variable holds one: this runs no finalizer */
    return !is_empty;
}

/* ---- Without the GIL ----
 *
 * Threads record at the same time, and every change of a cell is atomic. A thread that records says so in its lane. The
 * lock is for Python code that changes cells, or that changes what leads to them: handles, tables, stores. Who takes it
 * waits until all lanes are empty, and from then on, who wants to record waits for the lock.
 *
 * So what a thread in a lane reads does not change: borrowed references stay valid. In a lane, nothing blocks, runs
 * Python code or lets the garbage collector run: every lane is empty soon.
 */

#ifdef Py_GIL_DISABLED

#define LANES 32

/* Each has a cache line of its own. More threads than lanes share them. */
typedef struct {
    _Alignas(64) uint32_t count;
} Lane;

static Lane lanes[LANES];
static PyMutex lock_mutex;
static uint64_t turns; /* how often the lock was taken and released: odd while Python code holds it */
static unsigned long lock_holder; /* the identifier of the thread that holds it; 0 for none */
static Py_ssize_t lock_depth;

static inline Lane *
own_lane(void)
{
    static uint32_t next;
    static _Thread_local Lane *own;
    if (own == NULL) {
        own = &lanes[__atomic_fetch_add(&next, 1, __ATOMIC_RELAXED) % LANES];
    }
    return own;
}

/* A ThreadSanitizer does not see what orders the holders of the mutex: that is the interpreter, which it knows nothing of. */
#ifdef __SANITIZE_THREAD__
extern void __tsan_acquire(void *);
extern void __tsan_release(void *);
#else
#define __tsan_acquire(mutex) ((void)0)
#define __tsan_release(mutex) ((void)0)
#endif

static void
take_mutex(void)
{
    PyMutex_Lock(&lock_mutex);
    __tsan_acquire(&lock_mutex);
}

static void
release_mutex(void)
{
    __tsan_release(&lock_mutex);
    PyMutex_Unlock(&lock_mutex);
}

/* Whether this thread holds the lock: its own identifier cannot be another thread's. */
static inline int
is_holder(void)
{
    return __atomic_load_n(&lock_holder, __ATOMIC_RELAXED) == PyThread_get_thread_ident();
}

typedef struct {
    Lane *lane;
    int is_locked;
} Turn;

/* Enter a lane if the lock is free. The count is raised before the lock is looked at, and who takes the lock looks at
 * the counts afterwards: at least one of the two sees the other. */
static inline int
enter_at_once(Turn *turn)
{
    turn->lane = own_lane();
    turn->is_locked = 0;
    __atomic_fetch_add(&turn->lane->count, 1, __ATOMIC_SEQ_CST);
    if (!(__atomic_load_n(&turns, __ATOMIC_SEQ_CST) & 1)) {
        return 1;
    }
    __atomic_fetch_sub(&turn->lane->count, 1, __ATOMIC_SEQ_CST);
    return 0;
}

/* Enter a lane; 0 where this thread holds the lock itself, and records in the middle of a change. */
static int
enter(Turn *turn)
{
    if (enter_at_once(turn)) {
        return 1;
    }
    if (is_holder()) {
        return 0;
    }
    take_mutex(); /* keeps out who would take the lock, not who records */
    turn->is_locked = 1;
    __atomic_fetch_add(&turn->lane->count, 1, __ATOMIC_SEQ_CST);
    return 1;
}

static inline void
leave(const Turn *turn)
{
    __atomic_fetch_sub(&turn->lane->count, 1, __ATOMIC_SEQ_CST);
    if (turn->is_locked) {
        release_mutex();
    }
}

static void
take_lock(void)
{
    if (is_holder()) {
        lock_depth++;
        return;
    }
    take_mutex();
    lock_depth = 1;
    __atomic_store_n(&lock_holder, PyThread_get_thread_ident(), __ATOMIC_RELAXED);
    __atomic_fetch_add(&turns, 1, __ATOMIC_SEQ_CST);
    for (int at = 0; at < LANES; at++) {
        while (__atomic_load_n(&lanes[at].count, __ATOMIC_SEQ_CST) != 0) {
            sched_yield();
        }
    }
}

static int
release_lock(void)
{
    if (!is_holder()) {
        PyErr_SetString(PyExc_RuntimeError, "this thread does not hold the lock");
        return 0;
    }
    if (--lock_depth == 0) {
        __atomic_store_n(&lock_holder, 0, __ATOMIC_RELAXED);
        __atomic_fetch_add(&turns, 1, __ATOMIC_SEQ_CST);
        release_mutex();
    }
    return 1;
}

/* In a child, only the thread that forked is left: it holds the lock, or nobody does. */
static void
after_fork_in_child(void)
{
    memset(lanes, 0, sizeof(lanes));
    memset(&lock_mutex, 0, sizeof(lock_mutex));
    if (is_holder()) {
        take_mutex();
        return;
    }
    lock_holder = 0;
    lock_depth = 0;
    turns += turns & 1;
}

/* A cell, whose bits are compared and exchanged. */
typedef uint64_t __attribute__((may_alias)) Bits;

static inline double
value_of(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

static inline uint64_t
bits_of(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

#define CHANGE_CELL(cell, is_wanted, changed) \
    do { \
        uint64_t seen = __atomic_load_n((Bits *)(cell), __ATOMIC_RELAXED); \
        for (double present = value_of(seen); (is_wanted); present = value_of(seen)) { \
            if (__atomic_compare_exchange_n((Bits *)(cell), &seen, bits_of(changed), 1, __ATOMIC_RELAXED, \
                                            __ATOMIC_RELAXED)) { \
                break; \
            } \
        } \
    } while (0)

static inline void
put(double *cell, double value)
{
    __atomic_store_n((Bits *)cell, bits_of(value), __ATOMIC_RELAXED);
}

#else

#define CHANGE_CELL(cell, is_wanted, changed) \
    do { \
        double present = *(cell); \
        if (is_wanted) { \
            *(cell) = (changed); \
        } \
    } while (0)

/* With the GIL, nothing runs beside a call. */
typedef int Turn;
#define enter(turn) (*(turn) = 1)
#define leave(turn) ((void)(turn))
#define take_lock() ((void)0)
#define release_lock() ((void)0)

static inline void
put(double *cell, double value)
{
    *cell = value;
}

#endif

static inline void
add(double *cell, double amount)
{
    CHANGE_CELL(cell, 1, present + amount);
}

static inline void
lower_to(double *cell, double value)
{
    CHANGE_CELL(cell, value < present, value);
}

static inline void
raise_to(double *cell, double value)
{
    CHANGE_CELL(cell, value > present, value);
}

/* ---- Amounts, clocks, cells ---- */

/* The value of an exact int of one digit, which most are, without a function call; 0 for a longer one. */
static inline int
small_of(PyObject *number, Py_ssize_t *value)
{
#if PY_VERSION_HEX >= 0x030C0000
    if (!PyUnstable_Long_IsCompact((PyLongObject *)number)) {
        return 0;
    }
    *value = PyUnstable_Long_CompactValue((PyLongObject *)number);
#else
    Py_ssize_t size = Py_SIZE(number);
    if (size < -1 || size > 1) {
        return 0;
    }
    *value = size == 0 ? 0 : size * (Py_ssize_t)((PyLongObject *)number)->ob_digit[0];
#endif
    return 1;
}

/* The value of an exact, finite int or float; 0 for any other amount, which the Python function judges. */
static inline int
amount_of(PyObject *amount, double *value)
{
    if (PyFloat_CheckExact(amount)) {
        *value = PyFloat_AS_DOUBLE(amount);
    }
    else if (PyLong_CheckExact(amount)) {
        Py_ssize_t small;
        if (small_of(amount, &small)) {
            *value = (double)small;
            return 1;
        }
        *value = PyLong_AsDouble(amount);
        if (*value == -1.0 && PyErr_Occurred()) {
            PyErr_Clear();
            return 0;
        }
    }
    else {
        return 0;
    }
    return isfinite(*value);
}

/* Seconds, exactly as time.monotonic() computes them: both write to the same cells. */
static inline int
monotonic_s(double *now_s)
{
#if PY_VERSION_HEX >= 0x030D0000
    PyTime_t now;
    if (PyTime_MonotonicRaw(&now) < 0) {
        return 0;
    }
    int64_t now_ns = now;
#elif defined(__linux__)
    struct timespec now;
    if (clock_gettime(CLOCK_MONOTONIC, &now) != 0) {
        return 0;
    }
    int64_t now_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
#else
    int64_t now_ns = _PyTime_GetMonotonicClock();
#endif
    *now_s = now_ns % 1000000000 == 0 ? (double)(now_ns / 1000000000) : (double)now_ns / 1e9;
    return *now_s > 0.0;
}

/* Note when a gauge was set. Of two threads that set it at once, the later time counts: whichever value stays, it is not
 * older than what another worker has set before. */
static inline void
put_time(double *cell, double now_s)
{
#ifdef Py_GIL_DISABLED
    raise_to(cell, now_s);
#else
    *cell = now_s;
#endif
}

typedef struct {
    double *at;
    Py_ssize_t length;
} Cells;

/* The cells of a memoryview; 0 where it is not a writable, contiguous memoryview of aligned float64 values. */
static inline int
cells_of(PyObject *object, Cells *cells)
{
    if (object == NULL || !Py_IS_TYPE(object, &PyMemoryView_Type)) {
        return 0;
    }
    const PyMemoryViewObject *view = (PyMemoryViewObject *)object;
    const Py_buffer *buffer = &view->view;
    /* The garbage collector clears `mbuf` when it breaks a cycle that contains the view. */
    if ((view->flags & (_Py_MEMORYVIEW_RELEASED | _Py_MEMORYVIEW_C)) != _Py_MEMORYVIEW_C || view->mbuf == NULL
        || (view->mbuf->flags & _Py_MANAGED_BUFFER_RELEASED)) {
        return 0;
    }
    if (buffer->readonly || buffer->ndim != 1 || buffer->itemsize != sizeof(double) || buffer->format == NULL
        || buffer->format[0] != 'd' || buffer->format[1] != '\0' || (uintptr_t)buffer->buf % sizeof(double)) {
        return 0;
    }
    cells->at = (double *)buffer->buf;
    cells->length = (Py_ssize_t)((size_t)buffer->len / sizeof(double));
    return 1;
}

static inline int
has_cells(const Cells *cells, Py_ssize_t offset, Py_ssize_t count)
{
    /* a negative offset is a large one without its sign */
    return count <= cells->length && (size_t)offset <= (size_t)(cells->length - count);
}

/* The offset of a cell; NONE where the object is not an exact int that is >= 0. */
static inline Py_ssize_t
offset_of(PyObject *object)
{
    if (object == NULL || !PyLong_CheckExact(object)) {
        return NONE;
    }
    Py_ssize_t offset;
    if (small_of(object, &offset)) {
        return offset < 0 ? NONE : offset;
    }
    offset = PyLong_AsSsize_t(object);
    if (offset < 0) {
        PyErr_Clear();
        return NONE;
    }
    return offset;
}

/* The bucket that a value falls in, by ascending, inclusive upper bounds; NONE where a bound is not a float. */
static inline Py_ssize_t
bucket_of(PyObject *bounds, double value)
{
    Py_ssize_t low = 0, high = PyTuple_GET_SIZE(bounds);
    while (low < high) {
        Py_ssize_t middle = low + (high - low) / 2;
        PyObject *bound = PyTuple_GET_ITEM(bounds, middle);
        if (!PyFloat_CheckExact(bound)) {
            return NONE;
        }
        if (PyFloat_AS_DOUBLE(bound) < value) {
            low = middle + 1;
        }
        else {
            high = middle;
        }
    }
    return low;
}

/* The cells that a measurement changes in a histogram. All are found and checked before the first is changed. */
typedef struct {
    double *bucket, *sum;
    int has_extremes;
} Change;

static inline int
find_change(const Cells *cells, Py_ssize_t offset, PyObject *bounds, PyObject *extremes, double value, Change *change)
{
    if (bounds == NULL || !PyTuple_CheckExact(bounds) || (extremes != Py_True && extremes != Py_False)) {
        return 0;
    }
    change->has_extremes = extremes == Py_True;
    Py_ssize_t size = PyTuple_GET_SIZE(bounds);
    Py_ssize_t bucket = bucket_of(bounds, value);
    if (bucket == NONE || !has_cells(cells, offset, size + 2 + 2 * change->has_extremes)) {
        return 0;
    }
    change->bucket = cells->at + offset + bucket;
    change->sum = cells->at + offset + size + 1;
    return 1;
}

static inline void
make_change(const Change *change, double value)
{
    add(change->bucket, 1.0);
    add(change->sum, value);
    if (change->has_extremes) {
        lower_to(change->sum + 1, value);
        raise_to(change->sum + 2, value);
    }
}

/* ---- Offsets: from the attributes of a series to the offset of its first cell ---- */

/* Keys are `(*keys, *values)` in the order in which the caller gave the attributes. 1, 1.0 and True differ. */
typedef struct {
    Py_uhash_t hash;
    Py_ssize_t offset;
    Py_ssize_t size; /* the number of items, twice that of attributes */
    PyObject *items[];
} Entry;

typedef struct {
    PyObject_HEAD
    Entry **slots; /* open addressing, linear probing; NULL in a free slot */
    Py_ssize_t mask; /* the number of slots, a power of two, minus one; -1 for an empty table */
    Py_ssize_t used;
} Offsets;

static PyTypeObject OffsetsType;
static Py_uhash_t seed;

static inline Py_uhash_t
mixed(Py_uhash_t hash, Py_uhash_t more)
{
    hash = (hash ^ more) * (Py_uhash_t)0x9E3779B97F4A7C15u;
    return hash ^ (hash >> (sizeof(hash) * 4));
}

static inline int
is_plain_text(PyObject *object)
{
#if PY_VERSION_HEX < 0x030C0000
    return PyUnicode_CheckExact(object) && PyUnicode_IS_READY(object);
#else
    return PyUnicode_CheckExact(object);
#endif
}

/* The hash of a value whose equals of the same type are the same attribute; 0 where the Python function decides.
 * Not 0.0, which equals -0.0 but is exposed differently, and not NaN. */
static inline int
hash_plain(PyObject *object, Py_uhash_t *hash)
{
    if (is_plain_text(object)) {
        Py_hash_t known = ((PyASCIIObject *)object)->hash;
        *hash = (Py_uhash_t)(known != -1 ? known : PyObject_Hash(object));
        return 1;
    }
    if (object == Py_True || object == Py_False) {
        *hash = object == Py_True ? 3 : 5;
        return 1;
    }
    if (PyLong_CheckExact(object)) {
        *hash = (Py_uhash_t)PyObject_Hash(object) + 7;
        return 1;
    }
    if (PyFloat_CheckExact(object)) {
        double value = PyFloat_AS_DOUBLE(object);
        if (value == 0.0 || isnan(value)) {
            return 0;
        }
        *hash = (Py_uhash_t)PyObject_Hash(object) + 11;
        return 1;
    }
    return 0;
}

static inline int
is_same_text(PyObject *one, PyObject *other)
{
    Py_ssize_t length = PyUnicode_GET_LENGTH(one);
    return length == PyUnicode_GET_LENGTH(other) && PyUnicode_KIND(one) == PyUnicode_KIND(other)
           && memcmp(PyUnicode_DATA(one), PyUnicode_DATA(other), (size_t)length * PyUnicode_KIND(one)) == 0;
}

/* Whether two values that `hash_plain` accepts are the same attribute. */
static inline int
is_same(PyObject *one, PyObject *other)
{
    if (one == other) {
        return 1;
    }
    if (Py_TYPE(one) != Py_TYPE(other)) {
        return 0;
    }
    if (PyUnicode_CheckExact(one)) {
        return is_same_text(one, other);
    }
    if (PyFloat_CheckExact(one)) {
        return PyFloat_AS_DOUBLE(one) == PyFloat_AS_DOUBLE(other);
    }
    return PyLong_CheckExact(one) && PyObject_RichCompareBool(one, other, Py_EQ) == 1;
}

/* The slot of an entry, or the free slot where it would be. The loop ends, since `make_room` keeps slots free. */
static inline Entry **
place_of(const Offsets *self, PyObject *const *items, Py_ssize_t size, Py_uhash_t hash)
{
    Py_ssize_t at = (Py_ssize_t)hash & self->mask;
    for (;; at = (at + 1) & self->mask) {
        Entry *entry = self->slots[at];
        if (entry == NULL) {
            return &self->slots[at];
        }
        if (entry->hash == hash && entry->size == size) {
            Py_ssize_t same = 0;
            while (same < size && is_same(entry->items[same], items[same])) {
                same++;
            }
            if (same == size) {
                return &self->slots[at];
            }
        }
    }
}

/* The offset for the attributes in a dictionary, or None for no attributes; NONE where the set is not known, or has
 * values that `hash_plain` refuses. */
static inline Py_ssize_t
find_offset(const Offsets *self, PyObject *attributes)
{
    PyObject *items[2 * MOST_ATTRIBUTES], *key, *value;
    Py_ssize_t count = 0, position = 0;
    Py_uhash_t hash = seed, of_key, of_value;
    if (attributes != Py_None) {
        if (!PyDict_CheckExact(attributes) || (count = PyDict_GET_SIZE(attributes)) > MOST_ATTRIBUTES) {
            return NONE;
        }
        Py_ssize_t at = 0;
        while (PyDict_Next(attributes, &position, &key, &value)) {
            if (at == count || !is_plain_text(key) || !hash_plain(key, &of_key) || !hash_plain(value, &of_value)) {
                return NONE;
            }
            hash = mixed(mixed(hash, of_key), of_value);
            items[at] = key;
            items[count + at] = value;
            at++;
        }
        if (at != count) {
            return NONE;
        }
    }
    if (self->mask < 0) {
        return NONE;
    }
    const Entry *entry = *place_of(self, items, 2 * count, hash);
    return entry == NULL ? NONE : entry->offset;
}

/* The hash of a key given as a tuple; 0 where it cannot be a key of this table. */
static int
hash_key(PyObject *key, Py_uhash_t *hash)
{
    if (!PyTuple_CheckExact(key) || PyTuple_GET_SIZE(key) % 2 || PyTuple_GET_SIZE(key) > 2 * MOST_ATTRIBUTES) {
        return 0;
    }
    Py_ssize_t count = PyTuple_GET_SIZE(key) / 2;
    Py_uhash_t of_key, of_value;
    *hash = seed;
    for (Py_ssize_t at = 0; at < count; at++) {
        if (!is_plain_text(PyTuple_GET_ITEM(key, at)) || !hash_plain(PyTuple_GET_ITEM(key, at), &of_key)
            || !hash_plain(PyTuple_GET_ITEM(key, count + at), &of_value)) {
            return 0;
        }
        *hash = mixed(mixed(*hash, of_key), of_value);
    }
    return 1;
}

/* The methods of a table take the lock: other threads read it in their lanes. */
static Py_ssize_t
look_up(const Offsets *self, PyObject *key)
{
    Py_uhash_t hash;
    Py_ssize_t offset = NONE;
    if (!hash_key(key, &hash)) {
        return NONE;
    }
    take_lock();
    if (self->mask >= 0) {
        const Entry *entry = *place_of(self, ((PyTupleObject *)key)->ob_item, PyTuple_GET_SIZE(key), hash);
        offset = entry == NULL ? NONE : entry->offset;
    }
    release_lock();
    return offset;
}

static void
free_entry(Entry *entry)
{
    for (Py_ssize_t at = 0; at < entry->size; at++) {
        Py_DECREF(entry->items[at]); /* strings, ints, floats: freeing them runs no Python code */
    }
    PyMem_Free(entry);
}

static PyObject *
offsets_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    Offsets *self = (Offsets *)type->tp_alloc(type, 0);
    if (self != NULL) {
        self->mask = -1;
    }
    return (PyObject *)self;
}

static void
empty(Offsets *self)
{
    /* Detach the slots before anything is freed, so that the table is consistent at any time. */
    Entry **slots = self->slots;
    Py_ssize_t mask = self->mask;
    self->slots = NULL;
    self->mask = -1;
    self->used = 0;
    for (Py_ssize_t at = 0; at <= mask; at++) {
        if (slots[at] != NULL) {
            free_entry(slots[at]);
        }
    }
    PyMem_Free(slots);
}

static PyObject *
offsets_clear(Offsets *self, PyObject *unused)
{
    take_lock();
    empty(self);
    release_lock();
    Py_RETURN_NONE;
}

static void
offsets_dealloc(Offsets *self)
{
    empty(self);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

/* Make room for one more entry: at most three quarters of the slots are used, so that probing stays short and ends. */
static int
make_room(Offsets *self)
{
    if ((self->used + 1) * 4 <= (self->mask + 1) * 3) {
        return 1;
    }
    Py_ssize_t size = self->mask < 0 ? 8 : (self->mask + 1) * 2;
    Entry **slots = PyMem_Calloc((size_t)size, sizeof(Entry *));
    if (slots == NULL) {
        PyErr_NoMemory();
        return 0;
    }
    for (Py_ssize_t from = 0; from <= self->mask; from++) {
        if (self->slots[from] != NULL) {
            Py_ssize_t at = (Py_ssize_t)self->slots[from]->hash & (size - 1);
            while (slots[at] != NULL) {
                at = (at + 1) & (size - 1);
            }
            slots[at] = self->slots[from];
        }
    }
    PyMem_Free(self->slots);
    self->slots = slots;
    self->mask = size - 1;
    return 1;
}

/* Remove an entry and move entries behind it up: a hole would end the probing for them too early. */
static void
take_out(Offsets *self, Entry **place)
{
    Entry *taken = *place;
    Py_ssize_t hole = place - self->slots, at = hole;
    for (;;) {
        at = (at + 1) & self->mask;
        Entry *entry = self->slots[at];
        if (entry == NULL) {
            break;
        }
        Py_ssize_t wanted = (Py_ssize_t)entry->hash & self->mask;
        if (((at - wanted) & self->mask) >= ((at - hole) & self->mask)) {
            self->slots[hole] = entry;
            hole = at;
        }
    }
    self->slots[hole] = NULL;
    self->used--;
    free_entry(taken);
}

static int
note_offset(Offsets *self, PyObject *key, Py_uhash_t hash, Py_ssize_t offset)
{
    Py_ssize_t size = PyTuple_GET_SIZE(key);
    if (!make_room(self)) {
        return 0;
    }
    Entry **place = place_of(self, ((PyTupleObject *)key)->ob_item, size, hash);
    if (*place != NULL) {
        (*place)->offset = offset;
        return 1;
    }
    Entry *entry = PyMem_Malloc(sizeof(Entry) + (size_t)size * sizeof(PyObject *));
    if (entry == NULL) {
        PyErr_NoMemory();
        return 0;
    }
    entry->hash = hash;
    entry->offset = offset;
    entry->size = size;
    for (Py_ssize_t at = 0; at < size; at++) {
        entry->items[at] = PyTuple_GET_ITEM(key, at);
        Py_INCREF(entry->items[at]);
    }
    *place = entry;
    self->used++;
    return 1;
}

/* Note the offset of a key; False where `find_offset` could never look for that key. */
static PyObject *
offsets_learn(Offsets *self, PyObject *args)
{
    PyObject *key;
    Py_ssize_t offset;
    Py_uhash_t hash;
    if (!PyArg_ParseTuple(args, "On", &key, &offset)) {
        return NULL;
    }
    if (offset < 0 || !hash_key(key, &hash)) {
        Py_RETURN_FALSE;
    }
    take_lock();
    int is_noted = note_offset(self, key, hash, offset);
    release_lock();
    return is_noted ? Py_NewRef(Py_True) : NULL;
}

static Py_ssize_t
offsets_length(Offsets *self)
{
    return self->used;
}

static PyObject *
offsets_subscript(Offsets *self, PyObject *key)
{
    Py_ssize_t offset = look_up(self, key);
    if (offset == NONE) {
        PyErr_SetObject(PyExc_KeyError, key);
        return NULL;
    }
    return PyLong_FromSsize_t(offset);
}

static PyObject *
offsets_get(Offsets *self, PyObject *key)
{
    Py_ssize_t offset = look_up(self, key);
    if (offset == NONE) {
        Py_RETURN_NONE;
    }
    return PyLong_FromSsize_t(offset);
}

static PyObject *
offsets_forget(Offsets *self, PyObject *value)
{
    Py_ssize_t offset = offset_of(value);
    take_lock();
    /* `take_out` moves entries up, around the end of the table also into passed slots: repeat until none is left. */
    for (int is_changed = offset != NONE; is_changed;) {
        is_changed = 0;
        for (Py_ssize_t at = 0; at <= self->mask; at++) {
            while (self->slots[at] != NULL && self->slots[at]->offset == offset) {
                take_out(self, &self->slots[at]);
                is_changed = 1;
            }
        }
    }
    release_lock();
    Py_RETURN_NONE;
}

static PyObject *
offsets_sizeof(Offsets *self, PyObject *unused)
{
    take_lock();
    size_t size = sizeof(Offsets) + (size_t)(self->mask + 1) * sizeof(Entry *);
    for (Py_ssize_t at = 0; at <= self->mask; at++) {
        if (self->slots[at] != NULL) {
            size += sizeof(Entry) + (size_t)self->slots[at]->size * sizeof(PyObject *);
        }
    }
    release_lock();
    return PyLong_FromSize_t(size);
}

static PyMethodDef offsets_methods[] = {
    {"clear", (PyCFunction)offsets_clear, METH_NOARGS, "Forget all."},
    {"learn", (PyCFunction)offsets_learn, METH_VARARGS, "Note the offset of a key; whether it is one."},
    {"get", (PyCFunction)offsets_get, METH_O, "The offset of a key, or None."},
    {"forget", (PyCFunction)offsets_forget, METH_O, "Forget every key of an offset."},
    {"__sizeof__", (PyCFunction)offsets_sizeof, METH_NOARGS, "Bytes."},
    {NULL},
};

static PyMappingMethods offsets_mapping = {
    .mp_length = (lenfunc)offsets_length,
    .mp_subscript = (binaryfunc)offsets_subscript,
};

static PyTypeObject OffsetsType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "otel_obs.compiled._recording.Offsets",
    .tp_doc = "The first cell of a series by `(*keys, *values)` of its attributes; 1, 1.0 and True differ.",
    .tp_basicsize = sizeof(Offsets),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_new = offsets_new,
    .tp_dealloc = (destructor)offsets_dealloc,
    .tp_methods = offsets_methods,
    .tp_as_mapping = &offsets_mapping,
};

/* ---- Methods of Python classes, each with the Python function that it replaces ---- */

typedef struct {
    PyTypeObject *owner;
    PyObject *slow;
} Method;

/* The byte offsets of `__slots__` in the instances of a class. */
typedef struct {
    Py_ssize_t cells, offset, bounds, extremes;
} Layout;

static Layout bound_layout, instrument_layout; /* for an instrument, `offset` is the slot of its Offsets */
static PyTypeObject *bound_type = NULL;
static PyObject *name_attributes, *name_cells, *name_offset, *name_bounds, *name_extremes, *name_is_timed,
    *name_is_most_recent, *name_children, *name_by_name, *name_spellings;

static inline PyObject *
slot(PyObject *self, Py_ssize_t at)
{
    return *(PyObject **)((char *)self + at);
}

static inline int
is_of(PyObject *self, PyTypeObject *owner)
{
    return owner != NULL && PyObject_TypeCheck(self, owner);
}

/* Pass a call to the Python function. The reference keeps it alive if the call replaces it. */
static PyObject *
hand_over(const Method *method, PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    PyObject *few[8], **all = few, *result, *slow = method->slow;
    Py_ssize_t given = nargs + (kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames));
    if (given > 7 && (all = PyMem_Malloc((size_t)(given + 1) * sizeof(PyObject *))) == NULL) {
        return PyErr_NoMemory();
    }
    all[0] = self;
    for (Py_ssize_t at = 0; at < given; at++) {
        all[at + 1] = args[at];
    }
    Py_INCREF(slow);
    result = PyObject_Vectorcall(slow, all, (size_t)nargs + 1, kwnames);
    Py_DECREF(slow);
    if (all != few) {
        PyMem_Free(all);
    }
    return result;
}

#define SIGNATURE PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames

typedef enum { COUNT, ADD, SET, RECORD } Verb;

/* Record an amount that `amount_of` accepted; 0, with nothing changed, where the Python function has to do it. */
static inline int
store(Verb verb, PyObject *self, const Layout *layout, Py_ssize_t offset, double value)
{
    Cells cells;
    Change change;
    double now_s;
    if (offset == NONE || !cells_of(slot(self, layout->cells), &cells)) {
        return 0;
    }
    switch (verb) {
    case COUNT:
    case ADD:
        if (!has_cells(&cells, offset, 1)) {
            return 0;
        }
        add(cells.at + offset, value);
        return 1;
    case SET:
        if (!has_cells(&cells, offset, 2) || !monotonic_s(&now_s)) {
            return 0;
        }
        put(cells.at + offset, value + 0.0); /* turns -0.0 into 0.0 */
        put_time(cells.at + offset + 1, now_s);
        return 1;
    default:
        if (!find_change(&cells, offset, slot(self, layout->bounds), slot(self, layout->extremes), value, &change)) {
            return 0;
        }
        make_change(&change, value + 0.0);
        return 1;
    }
}

/* As `store`, for a bound handle. */
static inline int
store_bound(Verb verb, PyObject *self, double value)
{
    Turn turn;
    if (!enter(&turn)) {
        return 0;
    }
    int is_stored = store(verb, self, &bound_layout, offset_of(slot(self, bound_layout.offset)), value);
    leave(&turn);
    return is_stored;
}

/* As `store`, for an instrument and attributes. The order of the two locks: who waits for the lock gives the dictionary
 * free for that time, and in a lane nothing waits. */
static inline int
store_labelled(Verb verb, PyObject *self, PyObject *attributes, double value)
{
    Turn turn;
    int is_stored = 0;
#ifdef Py_GIL_DISABLED
    PyCriticalSection section;
    int is_dictionary = PyDict_CheckExact(attributes); /* None is shared by all threads */
    if (is_dictionary) {
        PyCriticalSection_Begin(&section, attributes);
    }
#endif
    if (enter(&turn)) {
        PyObject *offsets = slot(self, instrument_layout.offset);
        is_stored = offsets != NULL && Py_IS_TYPE(offsets, &OffsetsType)
                    && store(verb, self, &instrument_layout, find_offset((Offsets *)offsets, attributes), value);
        leave(&turn);
    }
#ifdef Py_GIL_DISABLED
    if (is_dictionary) {
        PyCriticalSection_End(&section);
    }
#endif
    return is_stored;
}

static inline int
is_allowed(Verb verb, double value)
{
    return verb == COUNT ? value > 0.0 : verb == RECORD ? value >= 0.0 : 1;
}

static inline PyObject *
bound_call(const Method *method, Verb verb, SIGNATURE)
{
    double value = 1.0;
    if (kwnames == NULL && (nargs == 1 || (nargs == 0 && verb <= ADD)) && is_of(self, method->owner)
        && (nargs == 0 || amount_of(args[0], &value)) && is_allowed(verb, value) && !is_in_context()
        && store_bound(verb, self, value)) {
        Py_RETURN_NONE;
    }
    return hand_over(method, self, args, nargs, kwnames);
}

static inline PyObject *
instrument_call(const Method *method, Verb verb, SIGNATURE)
{
    double value;
    int is_named = kwnames != NULL && nargs == 1 && PyTuple_GET_SIZE(kwnames) == 1
                   && PyTuple_GET_ITEM(kwnames, 0) == name_attributes;
    if ((kwnames == NULL ? nargs == 1 || nargs == 2 : is_named) && is_of(self, method->owner)
        && amount_of(args[0], &value) && is_allowed(verb, value) && !is_in_context()
        && store_labelled(verb, self, nargs == 2 || is_named ? args[1] : Py_None, value)) {
        Py_RETURN_NONE;
    }
    return hand_over(method, self, args, nargs, kwnames);
}

#define BOUND(name, verb) \
    static Method m_##name; \
    static PyObject *name(SIGNATURE) { return bound_call(&m_##name, verb, self, args, nargs, kwnames); }
#define INSTRUMENT(name, verb) \
    static Method m_##name; \
    static PyObject *name(SIGNATURE) { return instrument_call(&m_##name, verb, self, args, nargs, kwnames); }

BOUND(bound_counter_add, COUNT)
BOUND(bound_updown_add, ADD)
BOUND(bound_gauge_set, SET)
BOUND(bound_histogram_record, RECORD)
INSTRUMENT(counter_add, COUNT)
INSTRUMENT(updown_add, ADD)
INSTRUMENT(gauge_set, SET)
INSTRUMENT(histogram_record, RECORD)

/* ---- The series of otel_obs.prometheus, which keep their attributes in `__dict__` and have no slots ---- */

/* An attribute; NULL where there is none. An application's subclass may define a property of that name, which runs
 * Python code: its exception, or that of a signal handler, stays set. */
static inline PyObject *
attribute(PyObject *self, PyObject *name)
{
    PyObject *found = PyObject_GenericGetAttr(self, name);
    if (found == NULL && PyErr_ExceptionMatches(PyExc_AttributeError)) {
        PyErr_Clear();
    }
    return found;
}

/* 1 for an attribute that is True, 0 for False, -1 for anything else. */
static inline int
flag(PyObject *self, PyObject *name)
{
    PyObject *found = attribute(self, name);
    int is = found == Py_True ? 1 : found == Py_False ? 0 : -1;
    Py_XDECREF(found);
    return is;
}

typedef enum { INC, LEVEL_UP, LEVEL_DOWN, LEVEL, OBSERVE } Way;

/* The caller holds references to all arguments until the cells are changed. */
static inline int
change_series(Way way, PyObject *view, PyObject *number, PyObject *bounds, PyObject *extremes, int is_timed, double value)
{
    Cells cells;
    Change change;
    double now_s = 0.0;
    Py_ssize_t offset = offset_of(number);
    if (offset == NONE || !cells_of(view, &cells) || (is_timed && !monotonic_s(&now_s))) {
        return 0;
    }
    if (way == OBSERVE) {
        if (!find_change(&cells, offset, bounds, extremes, value, &change)) {
            return 0;
        }
        make_change(&change, value);
        return 1;
    }
    if (!has_cells(&cells, offset, 1 + is_timed)) {
        return 0;
    }
    double *at = cells.at + offset;
    if (way == LEVEL) {
        put(at, value);
    }
    else {
        add(at, way == LEVEL_DOWN ? -value : value);
    }
    if (is_timed && way == LEVEL) {
        put_time(at + 1, now_s);
    }
    else if (is_timed) {
        CHANGE_CELL(at + 1, present <= 0.0, -now_s);
    }
    return 1;
}

/* What has to hold still between the look at a series and the change of its cells; looking may run Python code, so it
 * cannot be done in a lane. */
#ifdef Py_GIL_DISABLED

#define MOST_LOOKS 20

typedef uint64_t Moment;

/* Wait until the lock is free; 0 where this thread holds it. */
static int
begin_look(Moment *moment)
{
    while ((*moment = __atomic_load_n(&turns, __ATOMIC_SEQ_CST)) & 1) {
        if (is_holder()) {
            return 0;
        }
        take_mutex();
        release_mutex();
    }
    return 1;
}

/* Whether the series still has the cells that were found: then the offset, which was looked at after them, is theirs. */
static int
still_has(PyObject *self, PyObject *view)
{
    PyObject *present = attribute(self, name_cells);
    Py_XDECREF(present); /* `view` is a reference to the same, or this is none of it */
    return present == view;
}

/* Enter a lane if nobody has held the lock since the look began. */
static inline int
end_look(const Moment *moment, Turn *turn)
{
    if (!enter_at_once(turn)) {
        return 0;
    }
    if (__atomic_load_n(&turns, __ATOMIC_SEQ_CST) == *moment) {
        return 1;
    }
    leave(turn);
    return 0;
}

#else

#define MOST_LOOKS 1
typedef int Moment;
#define begin_look(moment) (*(moment) = 1)
#define still_has(self, view) 1
#define end_look(moment, turn) (*(moment) && enter(turn))

#endif

/* 1 where the cells are changed, 0 where the Python function has to do it, -1 to look again. */
static inline int
look_and_store(Way way, PyObject *self, double value)
{
    PyObject *bounds = NULL, *extremes = NULL;
    Moment moment;
    Turn turn;
    if (!begin_look(&moment)) {
        return 0;
    }
    int is_timed = way == INC || way == OBSERVE ? 0 : flag(self, name_is_timed);
    if (is_timed < 0) {
        return 0;
    }
    /* The cells before the offset: code that gives a series other cells takes away the old ones first. */
    PyObject *view = attribute(self, name_cells), *offset = view == NULL ? NULL : attribute(self, name_offset);
    int is_found = offset != NULL, is_stored = 0;
    if (is_found && way == OBSERVE) {
        is_found = (bounds = attribute(self, name_bounds)) != NULL
                   && (extremes = attribute(self, name_extremes)) != NULL;
    }
    if (is_found && still_has(self, view)) {
        if (!end_look(&moment, &turn)) {
            is_stored = -1;
        }
        else {
            is_stored = change_series(way, view, offset, bounds, extremes, is_timed, value);
            leave(&turn);
        }
    }
    Py_XDECREF(view);
    Py_XDECREF(offset);
    Py_XDECREF(bounds);
    Py_XDECREF(extremes);
    return is_stored;
}

static inline int
store_to_series(Way way, PyObject *self, double value)
{
    int is_stored = -1;
    for (int looks = 0; is_stored < 0 && looks < MOST_LOOKS; looks++) {
        is_stored = look_and_store(way, self, value);
    }
    return is_stored > 0;
}

static inline PyObject *
series_call(const Method *method, Way way, SIGNATURE)
{
    double value = 1.0;
    if (kwnames == NULL && (nargs == 1 || (nargs == 0 && way <= LEVEL_DOWN))
        && (nargs == 0 || amount_of(args[0], &value)) && (way != INC || value >= 0.0)
        && ((way != INC && way != OBSERVE) || !is_in_context())
        && ((way != LEVEL_UP && way != LEVEL_DOWN) || flag(self, name_is_most_recent) == 0)
        && store_to_series(way, self, value)) {
        Py_RETURN_NONE;
    }
    return PyErr_Occurred() ? NULL : hand_over(method, self, args, nargs, kwnames);
}

#define SERIES(name, way) \
    static Method m_##name; \
    static PyObject *name(SIGNATURE) { return series_call(&m_##name, way, self, args, nargs, kwnames); }

SERIES(series_counter_inc, INC)
SERIES(series_gauge_inc, LEVEL_UP)
SERIES(series_gauge_dec, LEVEL_DOWN)
SERIES(series_gauge_set, LEVEL)
SERIES(series_summary_observe, OBSERVE)
SERIES(series_histogram_observe, OBSERVE)

/* ---- labels(): look up the series of known label texts ---- */

#define MOST_KEYS 16

#ifndef Py_GIL_DISABLED

/* One spare tuple of each size as the key of look-ups: making a tuple for each call costs more than the look-up. It is
 * untracked, so that Python code cannot get it from the garbage collector. Its items are borrowed from the caller. */
static PyObject *spare_keys[MOST_KEYS];

static PyObject *
borrow_key(Py_ssize_t size)
{
    if (size >= MOST_KEYS) {
        return NULL;
    }
    PyObject *key = spare_keys[size];
    if (key != NULL) {
        spare_keys[size] = NULL; /* a nested call makes another one */
    }
    else if ((key = PyTuple_New(size)) == NULL) {
        PyErr_Clear();
    }
    else {
        PyObject_GC_UnTrack(key);
    }
#if PY_VERSION_HEX >= 0x030E0000
    if (key != NULL) {
        ((PyTupleObject *)key)->ob_hash = -1;
    }
#endif
    return key;
}

static void
give_back(PyObject *key, Py_ssize_t size)
{
    PyObject *other = spare_keys[size];
    memset(((PyTupleObject *)key)->ob_item, 0, (size_t)size * sizeof(PyObject *));
    spare_keys[size] = key;
    Py_XDECREF(other);
}

static inline void
put_into_key(PyObject *key, Py_ssize_t at, PyObject *item)
{
    ((PyTupleObject *)key)->ob_item[at] = item;
}

#else

static PyObject *
borrow_key(Py_ssize_t size)
{
    PyObject *key = size < MOST_KEYS ? PyTuple_New(size) : NULL;
    PyErr_Clear();
    return key;
}

static void
give_back(PyObject *key, Py_ssize_t size)
{
    Py_DECREF(key);
}

static inline void
put_into_key(PyObject *key, Py_ssize_t at, PyObject *item)
{
    PyTuple_SET_ITEM(key, at, Py_NewRef(item));
}

#endif

/* The value of a key, a new reference; NULL where there is none. */
static inline PyObject *
value_for(PyObject *table, PyObject *key)
{
    PyObject *value;
#if PY_VERSION_HEX >= 0x030D0000
    PyDict_GetItemRef(table, key, &value);
#else
    value = PyDict_GetItemWithError(table, key);
    Py_XINCREF(value);
#endif
    return value;
}

static PyObject *
known_labels(PyObject *self, PyObject *table_name, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames,
             int is_marked)
{
    Py_ssize_t named = kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames);
    Py_ssize_t given = nargs + named;
    if (given == 0 || (nargs && named)) {
        return NULL;
    }
    for (Py_ssize_t at = 0; at < given; at++) {
        if (!PyUnicode_CheckExact(args[at])) {
            return NULL;
        }
    }
    is_marked = is_marked && named;
    Py_ssize_t size = given + named + is_marked;
    PyObject *known = NULL, *key = borrow_key(size), *table;
    if (key == NULL) {
        return NULL;
    }
    for (Py_ssize_t at = 0; at < size; at++) {
        put_into_key(key, at,
                     at < named ? PyTuple_GET_ITEM(kwnames, at) : at < given + named ? args[at - named] : Py_None);
    }
    if ((table = attribute(self, table_name)) != NULL && PyDict_CheckExact(table)) {
        known = value_for(table, key);
    }
    give_back(key, size);
    Py_XDECREF(table);
    if (known == Py_None) {
        Py_CLEAR(known);
    }
    return known;
}

static Method m_instrument_labels, m_series_labels;

static inline PyObject *
labels_call(const Method *method, PyObject *table_name, int is_marked, SIGNATURE)
{
    PyObject *known = known_labels(self, table_name, args, nargs, kwnames, is_marked);
    return known != NULL || PyErr_Occurred() ? known : hand_over(method, self, args, nargs, kwnames);
}

static PyObject *
instrument_labels(SIGNATURE)
{
    return labels_call(&m_instrument_labels, kwnames == NULL ? name_children : name_by_name, 0, self, args, nargs, kwnames);
}

static PyObject *
series_labels(SIGNATURE)
{
    return labels_call(&m_series_labels, name_spellings, 1, self, args, nargs, kwnames);
}

/* ---- Begin and End: all recording at the start and the end of a request in one call ---- */

typedef struct {
    PyObject_HEAD
    vectorcallfunc call;
    PyObject *updown, *counter, *histogram; /* bound handles; Begin has only the first */
    PyObject *slow;
} Together;

static PyTypeObject BeginType, EndType;

static PyObject *
together_slow(Together *self, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    PyObject *slow = self->slow, *result;
    if (slow == NULL) { /* `together_clear` has run: the garbage collector is freeing this object */
        Py_RETURN_NONE;
    }
    Py_INCREF(slow);
    result = PyObject_Vectorcall(slow, args, (size_t)PyVectorcall_NARGS(nargsf), kwnames);
    Py_DECREF(slow);
    return result;
}

static PyObject *
begin_call(Together *self, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    double value;
    if (kwnames == NULL && PyVectorcall_NARGS(nargsf) == 1 && self->updown != NULL && amount_of(args[0], &value)
        && store_bound(ADD, self->updown, value)) {
        Py_RETURN_NONE;
    }
    return together_slow(self, args, nargsf, kwnames);
}

static inline int
end_all(Together *self, double value)
{
    const Layout *layout = &bound_layout;
    Cells cells;
    Change change;
    if (self->updown == NULL || self->counter == NULL || self->histogram == NULL) {
        return 0;
    }
    PyObject *view = slot(self->counter, layout->cells);
    if (view != slot(self->updown, layout->cells) || view != slot(self->histogram, layout->cells)
        || !cells_of(view, &cells)) {
        return 0;
    }
    Py_ssize_t active = offset_of(slot(self->updown, layout->offset));
    Py_ssize_t count = offset_of(slot(self->counter, layout->offset));
    Py_ssize_t offset = offset_of(slot(self->histogram, layout->offset));
    if (!has_cells(&cells, active, 1) || !has_cells(&cells, count, 1)
        || !find_change(&cells, offset, slot(self->histogram, layout->bounds),
                        slot(self->histogram, layout->extremes), value, &change)) {
        return 0;
    }
    add(cells.at + active, -1.0);
    add(cells.at + count, 1.0);
    make_change(&change, value);
    return 1;
}

static PyObject *
end_call(Together *self, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    Py_ssize_t nargs = PyVectorcall_NARGS(nargsf);
    if (kwnames == NULL && (nargs == 1 || (nargs == 2 && args[1] == Py_None)) && PyFloat_CheckExact(args[0])) {
        double value = PyFloat_AS_DOUBLE(args[0]);
        Turn turn;
        if (value >= 0.0 && isfinite(value) && !is_in_context() && enter(&turn)) {
            int is_done = end_all(self, value);
            leave(&turn);
            if (is_done) {
                Py_RETURN_NONE;
            }
        }
    }
    return together_slow(self, args, nargsf, kwnames);
}

static PyObject *
together_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    PyObject *handles[3] = {NULL, NULL, NULL}, *slow;
    int is_end = type == &EndType;
    if (bound_type == NULL) {
        PyErr_SetString(PyExc_TypeError, "bound handles are not known yet");
        return NULL;
    }
    if (is_end ? !PyArg_ParseTuple(args, "O!O!O!O", bound_type, &handles[0], bound_type, &handles[1], bound_type,
                                   &handles[2], &slow)
               : !PyArg_ParseTuple(args, "O!O", bound_type, &handles[0], &slow)) {
        return NULL;
    }
    Together *self = (Together *)type->tp_alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    self->call = (vectorcallfunc)(is_end ? end_call : begin_call);
    self->updown = handles[0];
    self->counter = handles[1];
    self->histogram = handles[2];
    self->slow = slow;
    Py_XINCREF(self->updown);
    Py_XINCREF(self->counter);
    Py_XINCREF(self->histogram);
    Py_XINCREF(self->slow);
    return (PyObject *)self;
}

static int
together_traverse(Together *self, visitproc visit, void *arg)
{
    Py_VISIT(self->updown);
    Py_VISIT(self->counter);
    Py_VISIT(self->histogram);
    Py_VISIT(self->slow);
    return 0;
}

static int
together_clear(Together *self)
{
    Py_CLEAR(self->updown);
    Py_CLEAR(self->counter);
    Py_CLEAR(self->histogram);
    Py_CLEAR(self->slow);
    return 0;
}

static void
together_dealloc(Together *self)
{
    PyObject_GC_UnTrack(self);
    together_clear(self);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

#define TOGETHER(name, doc) \
    { \
        PyVarObject_HEAD_INIT(NULL, 0).tp_name = "otel_obs.compiled._recording." name, \
        .tp_doc = doc, \
        .tp_basicsize = sizeof(Together), \
        .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL, \
        .tp_new = together_new, \
        .tp_dealloc = (destructor)together_dealloc, \
        .tp_traverse = (traverseproc)together_traverse, \
        .tp_clear = (inquiry)together_clear, \
        .tp_call = PyVectorcall_Call, \
        .tp_vectorcall_offset = offsetof(Together, call), \
    }

static PyTypeObject BeginType = TOGETHER("Begin", "Begin(updown, slow): adds to a bound updowncounter.");
static PyTypeObject EndType = TOGETHER("End", "End(updown, counter, histogram, slow): records the end of a request.");

/* ---- Pauses: how long garbage collections take ----
 *
 * A callback of the garbage collector. It runs no Python code: the interpreter would first call the signal handlers
 * there, and swallow what they raise.
 */

typedef struct {
    PyObject_HEAD
    PyObject *append;
    double began_s; /* 0 where the beginning was not seen */
} Pauses;

static PyObject *
pauses_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    PyObject *append;
    if (!PyArg_ParseTuple(args, "O:Pauses", &append)) {
        return NULL;
    }
    Pauses *self = (Pauses *)type->tp_alloc(type, 0);
    if (self != NULL) {
        self->append = Py_NewRef(append);
    }
    return (PyObject *)self;
}

static PyObject *
pauses_call(Pauses *self, PyObject *args, PyObject *kwargs)
{
    PyObject *phase, *info, *generation, *pause, *result;
    double now_s;
    if (!PyArg_ParseTuple(args, "UO!:Pauses", &phase, &PyDict_Type, &info)) {
        return NULL;
    }
    if (PyUnicode_CompareWithASCIIString(phase, "start") == 0) {
        if (!monotonic_s(&self->began_s)) {
            self->began_s = 0.0;
        }
        Py_RETURN_NONE;
    }
    generation = PyDict_GetItemString(info, "generation");
    if (generation == NULL || self->began_s <= 0.0 || !monotonic_s(&now_s)) {
        Py_RETURN_NONE;
    }
    pause = Py_BuildValue("(Od)", generation, now_s - self->began_s);
    if (pause == NULL) {
        return NULL;
    }
    result = PyObject_CallOneArg(self->append, pause);
    Py_DECREF(pause);
    return result;
}

static int
pauses_traverse(Pauses *self, visitproc visit, void *arg)
{
    Py_VISIT(self->append);
    return 0;
}

static void
pauses_dealloc(Pauses *self)
{
    PyObject_GC_UnTrack(self);
    Py_CLEAR(self->append);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyTypeObject PausesType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "otel_obs.compiled._recording.Pauses",
    .tp_doc = "Pauses(append): appends (generation, seconds) of each garbage collection; for gc.callbacks.",
    .tp_basicsize = sizeof(Pauses),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .tp_new = pauses_new,
    .tp_dealloc = (destructor)pauses_dealloc,
    .tp_traverse = (traverseproc)pauses_traverse,
    .tp_call = (ternaryfunc)pauses_call,
};

/* ---- The lock of recording, where there is no GIL: an RLock that waits until all lanes are empty ---- */

#ifdef Py_GIL_DISABLED

typedef struct {
    PyObject_HEAD
} RecordingLock;

static PyObject *
recording_lock_acquire(PyObject *self, PyObject *unused)
{
    take_lock();
    Py_RETURN_TRUE;
}

static PyObject *
recording_lock_release(PyObject *self, PyObject *unused)
{
    if (!release_lock()) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
recording_lock_exit(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    return recording_lock_release(self, NULL);
}

static PyObject *
recording_lock_depth(PyObject *self, PyObject *unused)
{
    return PyLong_FromSsize_t(is_holder() ? lock_depth : 0);
}

static PyMethodDef recording_lock_methods[] = {
    {"__enter__", recording_lock_acquire, METH_NOARGS, "Take the lock, and wait for those who record."},
    {"__exit__", (PyCFunction)(void (*)(void))recording_lock_exit, METH_FASTCALL, "Release the lock."},
    {"acquire", recording_lock_acquire, METH_NOARGS, "Take the lock, and wait for those who record."},
    {"release", recording_lock_release, METH_NOARGS, "Release the lock."},
    {"_recursion_count", recording_lock_depth, METH_NOARGS, "How often this thread has taken the lock."},
    {NULL},
};

static PyTypeObject RecordingLockType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "otel_obs.compiled._recording.RecordingLock",
    .tp_doc = "The one lock of all recording in the process; every instance is the same lock.",
    .tp_basicsize = sizeof(RecordingLock),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_new = PyType_GenericNew,
    .tp_methods = recording_lock_methods,
};

static int
add_lock(PyObject *module)
{
    static int is_heard;
    if (!is_heard && pthread_atfork(NULL, NULL, after_fork_in_child) != 0) {
        PyErr_SetString(PyExc_ImportError, "forks cannot be heard of");
        return -1;
    }
    is_heard = 1;
    return PyType_Ready(&RecordingLockType) < 0
           ? -1 : PyModule_AddObjectRef(module, "RecordingLock", (PyObject *)&RecordingLockType);
}

#else

#define add_lock(module) 0

#endif

/* ---- The functions of the module ---- */

#define METHOD(function) (PyCFunction)(void (*)(void))function, METH_FASTCALL | METH_KEYWORDS

static struct {
    const char *name;
    PyMethodDef definition;
    Method *method;
    int is_bound, is_instrument;
} known_methods[] = {
    {"bound_counter_add", {"add", METHOD(bound_counter_add), "add($self, /, amount=1)\n--\n\nAdd *amount*, which is not negative, in the instrument's unit."}, &m_bound_counter_add, 1, 0},
    {"bound_updown_add", {"add", METHOD(bound_updown_add), "add($self, /, amount=1)\n--\n\nAdd *amount*, which may be negative, in the instrument's unit."}, &m_bound_updown_add, 1, 0},
    {"bound_gauge_set", {"set", METHOD(bound_gauge_set), "set($self, /, amount)\n--\n\nSet the value, in the instrument's unit."}, &m_bound_gauge_set, 1, 0},
    {"bound_histogram_record", {"record", METHOD(bound_histogram_record), "record($self, /, amount)\n--\n\nRecord *amount*, which is not negative, in the instrument's unit."}, &m_bound_histogram_record, 1, 0},
    {"counter_add", {"add", METHOD(counter_add), "add($self, /, amount, attributes=None, context=None)\n--\n\nAdd *amount*, which is not negative, to the series of *attributes*. Never raises."}, &m_counter_add, 0, 1},
    {"updown_add", {"add", METHOD(updown_add), "add($self, /, amount, attributes=None, context=None)\n--\n\nAdd *amount*, which may be negative, to the series of *attributes*. Never raises."}, &m_updown_add, 0, 1},
    {"gauge_set", {"set", METHOD(gauge_set), "set($self, /, amount, attributes=None, context=None)\n--\n\nSet the series of *attributes*. Never raises."}, &m_gauge_set, 0, 1},
    {"histogram_record", {"record", METHOD(histogram_record), "record($self, /, amount, attributes=None, context=None)\n--\n\nRecord *amount*, which is not negative, to the series of *attributes*. Never raises."}, &m_histogram_record, 0, 1},
    {"series_counter_inc", {"inc", METHOD(series_counter_inc), "inc($self, /, amount=1, exemplar=None)\n--\n\nAdd *amount*, which is not negative."}, &m_series_counter_inc, 0, 0},
    {"series_gauge_inc", {"inc", METHOD(series_gauge_inc), "inc($self, /, amount=1)\n--\n\nAdd *amount* to the value of this worker."}, &m_series_gauge_inc, 0, 0},
    {"series_gauge_dec", {"dec", METHOD(series_gauge_dec), "dec($self, /, amount=1)\n--\n\nSubtract *amount* from the value of this worker."}, &m_series_gauge_dec, 0, 0},
    {"series_gauge_set", {"set", METHOD(series_gauge_set), "set($self, /, value)\n--\n\nSet the value of this worker."}, &m_series_gauge_set, 0, 0},
    {"series_summary_observe", {"observe", METHOD(series_summary_observe), "observe($self, /, amount)\n--\n\nCount *amount*, and add it to the sum."}, &m_series_summary_observe, 0, 0},
    {"series_histogram_observe", {"observe", METHOD(series_histogram_observe), "observe($self, /, amount, exemplar=None)\n--\n\nCount *amount* in its bucket, and add it to the sum."}, &m_series_histogram_observe, 0, 0},
    {"instrument_labels", {"labels", METHOD(instrument_labels), "labels($self, /, *values, **named)\n--\n\nThe series with these labels, given in their declared order or by name."}, &m_instrument_labels, 0, 0},
    {"series_labels", {"labels", METHOD(series_labels), "labels($self, /, *labelvalues, **labelkwargs)\n--\n\nThe series with these labels, given in their declared order or by name."}, &m_series_labels, 0, 0},
};

/* The byte offset of a slot in the instances of a class; NONE, with an exception set, where it has no such slot. */
static Py_ssize_t
place_of_slot(PyTypeObject *type, PyObject *name)
{
    PyObject *found = PyObject_GetAttr((PyObject *)type, name);
    if (found == NULL) {
        return NONE;
    }
    Py_ssize_t at = NONE;
    if (Py_IS_TYPE(found, &PyMemberDescr_Type) && PyType_IsSubtype(type, PyDescr_TYPE(found))
        && ((PyMemberDescrObject *)found)->d_member->offset > 0) {
        at = ((PyMemberDescrObject *)found)->d_member->offset;
    }
    else {
        PyErr_Format(PyExc_TypeError, "%R has no slot %R", type, name);
    }
    Py_DECREF(found);
    return at;
}

static int
note_layout(PyTypeObject *type, Layout *layout, const char *offset)
{
    PyObject *name = PyUnicode_InternFromString(offset);
    if (name == NULL) {
        return 0;
    }
    Layout found = {place_of_slot(type, name_cells), NONE, NONE, NONE};
    if (found.cells != NONE && (found.offset = place_of_slot(type, name)) != NONE
        && (found.bounds = place_of_slot(type, name_bounds)) != NONE) {
        found.extremes = place_of_slot(type, name_extremes);
    }
    Py_DECREF(name);
    if (found.extremes == NONE) {
        return 0;
    }
    if (layout->cells != 0 && memcmp(layout, &found, sizeof(found)) != 0) {
        PyErr_Format(PyExc_TypeError, "%R has its slots elsewhere than others of its kind", type);
        return 0;
    }
    *layout = found;
    return 1;
}

static PyObject *
make_method(PyObject *module, PyObject *args)
{
    PyTypeObject *type;
    const char *name;
    PyObject *slow;
    if (!PyArg_ParseTuple(args, "O!sO", &PyType_Type, &type, &name, &slow)) {
        return NULL;
    }
    if (context_variable == NULL || !PyFunction_Check(slow)) {
        PyErr_SetString(PyExc_TypeError, "a method needs a Python function, and look_at() before it");
        return NULL;
    }
    for (size_t at = 0; at < Py_ARRAY_LENGTH(known_methods); at++) {
        if (strcmp(known_methods[at].name, name) != 0) {
            continue;
        }
        Method *method = known_methods[at].method;
        if ((known_methods[at].is_bound && !note_layout(type, &bound_layout, "_offset"))
            || (known_methods[at].is_instrument && !note_layout(type, &instrument_layout, "_offsets"))) {
            return NULL;
        }
        PyObject *made = PyDescr_NewMethod(type, &known_methods[at].definition);
        if (made != NULL) {
            Py_INCREF(type);
            Py_INCREF(slow);
            Py_XSETREF(method->owner, type);
            Py_XSETREF(method->slow, slow);
        }
        return made;
    }
    PyErr_Format(PyExc_ValueError, "%s is no method", name);
    return NULL;
}

static PyObject *
look_at(PyObject *module, PyObject *args)
{
    PyObject *variable;
    PyTypeObject *type, *bound;
    int is_empty;
    if (!PyArg_ParseTuple(args, "O!O!O!p", &PyContextVar_Type, &variable, &PyType_Type, &type, &PyType_Type, &bound,
                          &is_empty)) {
        return NULL;
    }
    if (!PyType_IsSubtype(type, &PyDict_Type)) {
        PyErr_Format(PyExc_TypeError, "%R is no dictionary", type);
        return NULL;
    }
    if (bound_type != NULL && bound_type != bound) {
        PyErr_SetString(PyExc_TypeError, "another copy of otel_obs in this process has it");
        return NULL;
    }
    Layout fresh = {0, 0, 0, 0};
    if (!note_layout(bound, &fresh, "_offset")) {
        return NULL;
    }
    bound_layout = fresh;
    is_empty_by_default = is_empty;
    memset(&instrument_layout, 0, sizeof(instrument_layout));
    Py_INCREF(variable);
    Py_INCREF(type);
    Py_INCREF(bound);
    Py_XSETREF(context_variable, variable);
    Py_XSETREF(context_type, type);
    Py_XSETREF(bound_type, bound);
    Py_RETURN_NONE;
}

static PyObject *
nothing(PyObject *module, PyObject *amount)
{
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"look_at", look_at, METH_VARARGS, "look_at(variable, type, bound, is_empty): the context's variable and type, the class of handles, and whether the default context is empty."},
    {"make_method", make_method, METH_VARARGS, "make_method(class, name, function): a method that does the plain cases itself."},
    {"nothing", nothing, METH_O, "Nothing: what a call of C costs."},
    {NULL},
};

static PyInterpreterState *owner_interpreter = NULL;
static void *owner_module = NULL;
static int is_let_go;

/* The interpreter may have ended, and another one may begin at its address: the static variables are no longer valid. */
static void
let_go(void *module)
{
    is_let_go = is_let_go || module == owner_module;
}

static int
fill(PyObject *module)
{
    /* The static variables hold classes of one interpreter: any other one in the process records in Python. */
    if (is_let_go || (owner_interpreter != NULL && owner_interpreter != PyInterpreterState_Get())) {
        PyErr_SetString(PyExc_ImportError, "another interpreter of this process has it");
        return -1;
    }
    struct {
        PyObject **name;
        const char *text;
    } names[] = {
        {&name_attributes, "attributes"}, {&name_cells, "_cells"},
        {&name_offset, "_offset"}, {&name_bounds, "_bounds"},
        {&name_extremes, "_has_extremes"}, {&name_is_timed, "_is_timed"},
        {&name_is_most_recent, "_is_most_recent"}, {&name_children, "_children"},
        {&name_by_name, "_by_name"}, {&name_spellings, "_spellings"},
    };
    for (size_t at = 0; at < Py_ARRAY_LENGTH(names); at++) {
        if (*names[at].name == NULL && (*names[at].name = PyUnicode_InternFromString(names[at].text)) == NULL) {
            return -1;
        }
    }
    seed = (Py_uhash_t)PyObject_Hash(name_attributes); /* random in each process, like the hashes of strings */
    if (PyType_Ready(&OffsetsType) < 0 || PyType_Ready(&BeginType) < 0 || PyType_Ready(&EndType) < 0
        || PyType_Ready(&PausesType) < 0 || PyModule_AddObjectRef(module, "Pauses", (PyObject *)&PausesType) < 0
        || PyModule_AddObjectRef(module, "Offsets", (PyObject *)&OffsetsType) < 0
        || PyModule_AddObjectRef(module, "Begin", (PyObject *)&BeginType) < 0
        || PyModule_AddObjectRef(module, "End", (PyObject *)&EndType) < 0
        || PyModule_AddIntConstant(module, "VERSION", OTEL_OBS_VERSION) < 0 || add_lock(module) < 0) {
        return -1;
    }
    owner_interpreter = PyInterpreterState_Get();
    owner_module = module;
    return 0;
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, fill},
#if PY_VERSION_HEX >= 0x030C0000
    {Py_mod_multiple_interpreters, Py_MOD_MULTIPLE_INTERPRETERS_NOT_SUPPORTED},
#endif
#ifdef Py_GIL_DISABLED
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "otel_obs.compiled._recording",
    .m_doc = "The fast paths of recording, on the memory of the cells.",
    .m_methods = functions,
    .m_slots = slots,
    .m_free = let_go,
};

PyMODINIT_FUNC
PyInit__recording(void)
{
    return PyModuleDef_Init(&definition);
}

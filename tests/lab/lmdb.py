"""Databases of LMDB, through Debian's library, for want of a module that is packaged."""
import ctypes
import os


class Lmdb:
    """A directory with a database; put() makes @pairs its rows."""

    class Value(ctypes.Structure):
        _fields_ = [("size", ctypes.c_size_t), ("data", ctypes.c_char_p)]

    def __init__(self, path):
        self.library, self.path = ctypes.CDLL("liblmdb.so.0"), path.encode()

    def call(self, name, *arguments):
        status = getattr(self.library, name)(*arguments)
        if status:
            raise OSError(status, name)

    def put(self, pairs, map_size=1 << 20):
        env, txn, dbi = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_uint()
        os.makedirs(self.path, exist_ok=True)
        self.call("mdb_env_create", ctypes.byref(env))
        self.call("mdb_env_set_mapsize", env, ctypes.c_size_t(map_size))
        self.call("mdb_env_open", env, self.path, 0, 0o600)
        self.call("mdb_txn_begin", env, None, 0, ctypes.byref(txn))
        self.call("mdb_dbi_open", txn, None, 0, ctypes.byref(dbi))
        self.call("mdb_drop", txn, dbi, 0)
        for key, value in pairs.items():
            key, value = key.encode(), value.encode()
            self.call("mdb_put", txn, dbi, ctypes.byref(self.Value(len(key), key)), ctypes.byref(self.Value(len(value), value)), 0)
        self.call("mdb_txn_commit", txn)
        self.library.mdb_env_close(env)

;; A WASI command: copies standard input to standard output in upper case, then the files that its arguments name.
;; Exits with the error number of the first file that cannot be opened.
(module
  (import "wasi_snapshot_preview1" "args_sizes_get" (func $args_sizes_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_get" (func $args_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_open"
    (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 2)
  ;; 0: a buffer's address and length; 8: a count; 12: a descriptor; 16: arguments; 20: their size
  ;; 1024: pointers to arguments; 4096: arguments; 65536: data
  (data (i32.const 512) "cannot open ")
  (data (i32.const 540) "\n")

  (func $write (param $fd i32) (param $at i32) (param $length i32)
    (i32.store (i32.const 0) (local.get $at))
    (i32.store (i32.const 4) (local.get $length))
    (drop (call $fd_write (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8))))

  (func $length (param $at i32) (result i32)
    (local $end i32)
    (local.set $end (local.get $at))
    (block $done
      (loop $next
        (br_if $done (i32.eqz (i32.load8_u (local.get $end))))
        (local.set $end (i32.add (local.get $end) (i32.const 1)))
        (br $next)))
    (i32.sub (local.get $end) (local.get $at)))

  (func $copy (param $fd i32)
    (local $count i32) (local $i i32) (local $byte i32)
    (block $done
      (loop $more
        (i32.store (i32.const 0) (i32.const 65536))
        (i32.store (i32.const 4) (i32.const 60000))
        (br_if $done (call $fd_read (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8)))
        (local.set $count (i32.load (i32.const 8)))
        (br_if $done (i32.eqz (local.get $count)))
        (local.set $i (i32.const 0))
        (loop $next
          (local.set $byte (i32.load8_u (i32.add (i32.const 65536) (local.get $i))))
          (if (i32.lt_u (i32.sub (local.get $byte) (i32.const 97)) (i32.const 26))
            (then (i32.store8 (i32.add (i32.const 65536) (local.get $i)) (i32.sub (local.get $byte) (i32.const 32)))))
          (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (br_if $next (i32.lt_u (local.get $i) (local.get $count))))
        (call $write (i32.const 1) (i32.const 65536) (local.get $count))
        (br $more))))

  (func (export "_start")
    (local $i i32) (local $path i32) (local $error i32)
    (call $copy (i32.const 0))
    (drop (call $args_sizes_get (i32.const 16) (i32.const 20)))
    (drop (call $args_get (i32.const 1024) (i32.const 4096)))
    (local.set $i (i32.const 1))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $i) (i32.load (i32.const 16))))
        (local.set $path (i32.load (i32.add (i32.const 1024) (i32.mul (local.get $i) (i32.const 4)))))
        ;; Relative to the first directory that is open from the beginning; with the right to read.
        (local.set $error (call $path_open (i32.const 3) (i32.const 0) (local.get $path) (call $length (local.get $path))
          (i32.const 0) (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 12)))
        (if (local.get $error)
          (then
            (call $write (i32.const 2) (i32.const 512) (i32.const 12))
            (call $write (i32.const 2) (local.get $path) (call $length (local.get $path)))
            (call $write (i32.const 2) (i32.const 540) (i32.const 1))
            (call $proc_exit (local.get $error))))
        (call $copy (i32.load (i32.const 12)))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $next)))))

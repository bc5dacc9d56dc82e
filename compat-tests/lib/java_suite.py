"""Compiling and starting the Java programs."""

import os
import shutil
import threading

_lock = threading.Lock()


def real_java(name="java"):
    """The JDK's, never the stand-in in compat-tests/bin."""
    return shutil.which(name)


def classpath(ctx):
    return os.pathsep.join(
        [os.path.join(ctx.compat, "java-classes"), os.path.join(ctx.compat, "java", "*")]
    )


def java_command(ctx, main, *words):
    return [
        real_java(),
        "-Xmx256m",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        "-cp",
        classpath(ctx),
        "-Dlogback.configurationFile=" + os.path.join(ctx.tests, "java", "logback.xml"),
        "-Dfile.encoding=UTF-8",
        main,
    ] + list(words)


def compile_programs(ctx):
    """True when all programs compile; only what changed is compiled again."""
    folder = os.path.join(ctx.tests, "java", "src")
    sources = sorted(os.path.join(folder, name) for name in os.listdir(folder))
    out = os.path.join(ctx.compat, "java-classes")
    with _lock:
        stamp = os.path.join(out, ".compiled")
        newest = max(os.path.getmtime(path) for path in sources)
        if os.path.exists(stamp) and os.path.getmtime(stamp) > newest:
            return True
        shutil.rmtree(out, ignore_errors=True)
        os.makedirs(out)
        lines = []
        status = ctx.run(
            [real_java("javac"), "-Xlint:all,-processing,-classfile,-try", "-encoding", "UTF-8"]
            + ["-cp", classpath(ctx), "-d", out]
            + sources,
            120,
            on_line=lines.append,
        )
        if status != 0:
            ctx.report.add(ctx.suite + ": javac", "fail", "\n".join(lines))
            return False
        open(stamp, "w").close()
    return True

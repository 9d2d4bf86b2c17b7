/** What came of each case, as a line of JSON. */
final class Report {
    /** A case: it gives how many messages it has moved, or throws. */
    interface Case {
        long run() throws Throwable;
    }

    private Report() {
    }

    /** Runs a case, unless others are asked for. */
    static void of(String name, Case work) {
        String only = System.getenv("AMQP1_INTEROP_CASE");
        if (only != null && !name.contains(only)) {
            return;
        }
        try {
            System.out.printf("{\"case\":\"%s\",\"messages\":%d}%n", name, work.run());
        } catch (Throwable failure) {
            System.out.printf("{\"case\":\"%s\",\"failure\":\"%s\"}%n", name, escaped(failure));
        }
    }

    /** Fails a case unless two things are equal. */
    static void equal(Object expected, Object found) {
        if (!expected.equals(found)) {
            throw new AssertionError("expected " + expected + ", found " + found);
        }
    }

    private static String escaped(Throwable failure) {
        var text = new StringBuilder(failure.toString());
        for (Throwable cause = failure.getCause(); cause != null; cause = cause.getCause()) {
            text.append(": ").append(cause);
        }
        for (StackTraceElement at : failure.getStackTrace()) {
            if (at.getModuleName() == null && at.getClassName().indexOf('.') < 0) {
                text.append(" at ").append(at.getFileName()).append(':').append(at.getLineNumber());
            }
        }
        return text.toString().replace("\\", "\\\\").replace("\"", "'").replaceAll("\\s+", " ");
    }
}

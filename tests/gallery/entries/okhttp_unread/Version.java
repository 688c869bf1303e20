// Copyright (c) 2026 the lastack authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
// Prints the version of OkHttp on the class path.

import okhttp3.internal.Version;

public class OkHttpVersion {
    public static void main(String[] arguments) {
        System.out.println(Version.userAgent());
    }
}

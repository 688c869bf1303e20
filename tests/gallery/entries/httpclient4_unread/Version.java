// Copyright (c) 2026 the lastack authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
// Prints the version of Apache HttpClient on the class path.

import org.apache.http.util.VersionInfo;

public class Version {
    public static void main(String[] arguments) {
        ClassLoader loader = Version.class.getClassLoader();
        System.out.println(VersionInfo.loadVersionInfo("org.apache.http.client", loader).getRelease());
    }
}
